"""Anchors ↔ faces: which anchor is positive, background or left out, and for which face.

Only anchors near a face can fit it. So each face is compared with a window of cells around its
centre on every level, whose size follows from the lowest IoU threshold, instead of with every
anchor; and within a level only with the shapes whose best placed anchor, found by two searches
along one axis each, reaches that threshold or is the face's best. Memory does not grow with the
product of faces and anchors.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid, anchors_in_image
from df2s2_d2.modeling.host_sync import entries_to_visit
from df2s2_d2.modeling.targets.windows import Window, WindowOverlaps

BACKGROUND, POSITIVE, IGNORED = 0, 1, -1

# Face-anchor pairs compared at once; about 100 bytes each.
_PAIRS_PER_CHUNK = 1_000_000

# The parts of a claim, see _pack_claims.
_BEST_FIT = 1 << 62
_LAST_FACE = (1 << 31) - 1


@dataclass(frozen=True)
class Matches:
    """What every anchor of a batch is to be trained on.

    Attributes:
        labels: (N, R) int8, ``POSITIVE``, ``BACKGROUND`` or ``IGNORED``. R = anchors of all levels.
        faces: (N, R) int64, for positive anchors the row of their face among all F faces of the
            batch; F for every other anchor.
    """

    labels: Tensor
    faces: Tensor


class AnchorMatcher:
    """Match anchors with faces by IoU (DF²S² §3.4, DSFD §3.4) in bounded memory.

    An anchor is positive from the upper threshold on, background below the lower one and left out
    in between; it goes to the face it overlaps most. With ``allow_low_quality_matches`` every face
    also takes the anchors that fit it best (all that tie), unless another such face fits them
    better: this is how faces smaller than every anchor are learnt. Ties are searched for in the
    window, so a face several times larger than all anchors takes those near its centre. Anchors
    centred outside their image, in the padding of a batch, are left out.

    Args:
        iou_thresholds: lower and upper threshold, 0 < lower <= upper <= 1.
        allow_low_quality_matches: see above.
    """

    def __init__(self, iou_thresholds: tuple[float, float], allow_low_quality_matches: bool):
        low, high = iou_thresholds
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"MATCHING.IOU_THRESHOLDS must be 0 < lower <= upper <= 1, found {iou_thresholds}"
            )
        self.low = low
        self.high = high
        self.allow_low_quality_matches = allow_low_quality_matches

    @classmethod
    def from_node(cls, cfg: CfgNode) -> AnchorMatcher:
        """Build the matching rule of a shot's node ``MATCHING``."""
        return cls(tuple(cfg.IOU_THRESHOLDS), cfg.ALLOW_LOW_QUALITY_MATCHES)

    @torch.no_grad()
    def __call__(
        self,
        grids: list[AnchorGrid],
        faces: Tensor,
        image_index: Tensor,
        image_sizes: Tensor,
    ) -> Matches:
        """
        Args:
            grids: the anchors, one grid per level.
            faces: (F, 4) float32, faces of all images, XYXY in pixels.
            image_index: (F,) int64, the image each face is in.
            image_sizes: (N, 2), height and width of each image before padding.
        """
        num_images, num_faces = len(image_sizes), len(faces)
        num_anchors = sum(len(grid) for grid in grids)
        windows = [Window.around_faces(grid, self.low) for grid in grids]
        faces_per_chunk = max(1, _PAIRS_PER_CHUNK // sum(window.size for window in windows))

        # The highest claim on each anchor; 0 where there is none.
        claims = torch.zeros(num_images * num_anchors, dtype=torch.int64, device=faces.device)
        for start in range(0, num_faces, faces_per_chunk):
            rows = slice(start, start + faces_per_chunk)
            images = image_index[rows]
            levels = [
                WindowOverlaps.of_faces(window, faces[rows], image_sizes[images])
                for window in windows
            ]
            self._claim(claims, levels, images * num_anchors, first_face=start)

        claims = claims.view(num_images, num_anchors)
        positive = claims >= _lowest_claim(self.high)
        labels = torch.zeros_like(claims, dtype=torch.int8)  # background
        labels.masked_fill_(claims > 0, IGNORED).masked_fill_(positive, POSITIVE)
        labels.masked_fill_(~anchors_in_image(grids, image_sizes), IGNORED)
        owners = (_LAST_FACE - (claims & _LAST_FACE)).masked_fill_(~positive, num_faces)
        return Matches(labels, owners)

    def _claim(
        self, claims: Tensor, levels: list[WindowOverlaps], first_anchors: Tensor, first_face: int
    ) -> None:
        """Enter the claims of some faces.

        Args:
            claims: of all anchors of all images; changed in place.
            levels: the faces' overlaps with the anchors of each level.
            first_anchors: (F,) int64, place of the first anchor of each face's image in ``claims``.
            first_face: number of the first of these faces among all of the batch.
        """
        best_ious = [level.best_ious() for level in levels]
        best = torch.cat(best_ious, dim=1).amax(dim=1)  # (F,)
        for level, best_of_shapes in zip(levels, best_ious, strict=True):
            matters = self._matters(best_of_shapes, best[:, None])
            face, shape = _unravel(entries_to_visit(matters), matters.shape)
            ious = level.ious(face, shape)  # (T, Kh, Kw)
            matters = self._matters(ious, best[face, None, None])
            pairs = entries_to_visit(matters)
            fit, row, column = _unravel(pairs, ious.shape)
            face, shape = face[fit], shape[fit]
            ious, matters = ious.flatten()[pairs], matters.flatten()[pairs]
            claim = _pack_claims(ious, first_face + face)
            if self.allow_low_quality_matches:
                claim += (ious == best[face]) * _BEST_FIT
            anchors = first_anchors[face] + level.anchors(face, row, column, shape)
            claims.scatter_reduce_(0, anchors, claim * matters, "amax")
            first_anchors = first_anchors + len(level.grid)

    def _matters(self, ious: Tensor, best: Tensor) -> Tensor:
        """Which IoUs decide about an anchor, given the best IoU of the same face."""
        matters = ious >= self.low
        if self.allow_low_quality_matches:
            matters |= (ious == best) & (ious > 0)
        return matters


def _unravel(index: Tensor, shape: torch.Size) -> list[Tensor]:
    """Indices along each dimension of flat ones (torch.unravel_index copies from the host)."""
    indices = []
    for size in reversed(shape[1:]):
        indices.append(index % size)
        index = index // size
    return [index, *reversed(indices)]


# A claim of a face on an anchor is one integer, so that the highest of them decides: whether the
# anchor is a best fit of the face (bit 62), then IoU (bits 31 to 61), then the earlier face.


def _pack_claims(ious: Tensor, faces: Tensor) -> Tensor:
    """Claims of faces (T,) int64, not yet as best fits; 0 < IoU."""
    # Non-negative floats order as their bit patterns do.
    return (ious.view(torch.int32).long() << 31) + (_LAST_FACE - faces)


def _lowest_claim(iou: float) -> int:
    """A claim is at least this exactly if its IoU is, or if it is one of a best fit."""
    return int.from_bytes(struct.pack(">f", iou), "big") << 31
