"""Anchors ↔ faces: which anchor is positive, background or left out, and for which face.

Only anchors near a face can fit it. So each face is compared with a window of cells around its
centre on every level, whose size follows from the lowest IoU threshold, instead of with every
anchor: for 2,000 faces and half a million anchors this is 1 % of the work, and memory does not
grow with the product of the two. Shapes never depend on values, so a GPU is never waited for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid

BACKGROUND, POSITIVE, IGNORED = 0, 1, -1

# Face-anchor pairs compared at once; about 100 bytes each.
_PAIRS_PER_CHUNK = 1_000_000


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
        windows = [_Window.around_faces(grid, self.low) for grid in grids]
        pairs_per_face = sum(window.size for window in windows)

        # One integer ranks a claim of a face on an anchor: IoU first, then the earlier face.
        overlaps = torch.zeros(num_images * num_anchors, dtype=torch.int64, device=faces.device)
        best_fits = torch.zeros_like(overlaps)
        faces_per_chunk = max(1, _PAIRS_PER_CHUNK // pairs_per_face)
        for start in range(0, num_faces, faces_per_chunk):
            rows = slice(start, start + faces_per_chunk)
            ious, anchors = _window_ious(windows, faces[rows], image_index[rows], image_sizes)
            anchors = anchors + image_index[rows, None] * num_anchors
            claims = _pack_claims(ious, start)
            overlaps.scatter_reduce_(0, anchors.flatten(), claims.flatten(), "amax")
            if self.allow_low_quality_matches:
                best = ious.amax(dim=1, keepdim=True)
                claims = claims * ((ious == best) & (best > 0))
                best_fits.scatter_reduce_(0, anchors.flatten(), claims.flatten(), "amax")

        iou, face = _unpack_claims(overlaps)
        is_best_fit = best_fits > 0
        face = torch.where(is_best_fit, _unpack_claims(best_fits)[1], face)
        positive = (iou >= self.high) | is_best_fit
        labels = torch.where(iou < self.low, BACKGROUND, IGNORED)
        labels = torch.where(positive, POSITIVE, labels).view(num_images, num_anchors)
        labels = torch.where(anchors_in_image(grids, image_sizes), labels, IGNORED)
        face = torch.where(positive, face, num_faces).view(num_images, num_anchors)
        return Matches(labels.to(torch.int8), face)


@dataclass(frozen=True)
class _Window:
    """Cells of a level around a face's centre that hold all anchors that can fit the face."""

    grid: AnchorGrid
    height: int
    width: int

    @classmethod
    def around_faces(cls, grid: AnchorGrid, min_iou: float) -> _Window:
        # For an IoU >= t the overlap of the two widths is at least t x the larger of them, so
        # centres differ by at most (w + a) / 2 - t max(w, a) with t <= w / a <= 1 / t. This is
        # largest at w = a or at w = a / t. The same holds for heights.
        reach = max(1 - min_iou, 0.5 + (0.5 - min_iou) / min_iou)
        cells = [
            2 * math.floor(reach * length / grid.stride + 0.5) + 1 for length in grid.max_shape
        ]
        return cls(grid, height=min(cells[1], grid.height), width=min(cells[0], grid.width))

    @property
    def size(self) -> int:
        return self.height * self.width * len(self.grid.shapes)

    def positions(self, centers: Tensor, cells: int, extent: int) -> Tensor:
        """Indices (F, extent) of the cells nearest to ``centers`` (F,), inside 0 ... cells - 1."""
        nearest = torch.round(centers / self.grid.stride - self.grid.offset).long()
        first = (nearest - extent // 2).clamp(0, cells - extent)
        return first[:, None] + torch.arange(extent, device=centers.device)


def _window_ious(
    windows: list[_Window], faces: Tensor, image_index: Tensor, image_sizes: Tensor
) -> tuple[Tensor, Tensor]:
    """IoU of every face with the anchors of its windows, 0 for anchors outside the image.

    Returns:
        Two tensors (F, P), P = window anchors of all levels: IoU, and the anchor's index among
        the R anchors of an image.
    """
    widths, heights = (faces[:, 2:] - faces[:, :2]).clamp(min=0)[:, :, None, None].unbind(dim=1)
    center_x, center_y = ((faces[:, :2] + faces[:, 2:]) / 2).unbind(dim=1)
    limits = image_sizes[image_index]
    ious, anchors, first_anchor = [], [], 0
    for window in windows:
        grid = window.grid
        anchor_widths, anchor_heights = grid.shapes.unbind(dim=1)
        columns = window.positions(center_x, grid.width, window.width)  # (F, Kw)
        rows = window.positions(center_y, grid.height, window.height)  # (F, Kh)
        xs = (columns + grid.offset) * grid.stride
        ys = (rows + grid.offset) * grid.stride
        overlap_x = _overlap((xs - center_x[:, None])[:, :, None], widths, anchor_widths)
        overlap_y = _overlap((ys - center_y[:, None])[:, :, None], heights, anchor_heights)
        overlap_x = overlap_x * (xs < limits[:, 1:])[:, :, None]
        overlap_y = overlap_y * (ys < limits[:, :1])[:, :, None]
        intersection = overlap_y[:, :, None] * overlap_x[:, None]  # (F, Kh, Kw, A)
        areas = (widths * heights)[:, None] + anchor_widths * anchor_heights
        ious.append((intersection / (areas - intersection)).flatten(1))
        cells = rows[:, :, None] * grid.width + columns[:, None]  # (F, Kh, Kw)
        shape = torch.arange(len(grid.shapes), device=faces.device)
        anchors.append((cells[..., None] * len(shape) + shape + first_anchor).flatten(1))
        first_anchor += len(grid)
    return torch.cat(ious, dim=1), torch.cat(anchors, dim=1)


def _overlap(center_distance: Tensor, length: Tensor, other_length: Tensor) -> Tensor:
    """Common length of two intervals; exact, so that equal fits compare as equal, when one
    contains the other."""
    partial = (length + other_length) / 2 - center_distance.abs()
    return torch.minimum(partial, torch.minimum(length, other_length)).clamp(min=0)


def _pack_claims(ious: Tensor, first_face: int) -> Tensor:
    """(F, P) IoUs -> int64 that order by IoU, equal ones by the earlier face; 0 where IoU is 0."""
    faces = torch.arange(len(ious), device=ious.device) + first_face
    # Non-negative floats order as their bit patterns do.
    bits = ious.view(torch.int32).long() << 32
    return (bits + (0x7FFFFFFF - faces)[:, None]) * (ious > 0)


def _unpack_claims(claims: Tensor) -> tuple[Tensor, Tensor]:
    """The IoU and the face of packed claims; IoU 0 where nothing was claimed."""
    ious = (claims >> 32).to(torch.int32).view(torch.float32)
    return ious, 0x7FFFFFFF - (claims & 0xFFFFFFFF)


def anchors_in_image(grids: list[AnchorGrid], image_sizes: Tensor) -> Tensor:
    """(N, R) bool: which anchors have their centre inside the image, not in its padding.

    Args:
        grids: one per level.
        image_sizes: (N, 2), height and width of the images before padding.
    """
    inside = []
    for grid in grids:
        cells = grid.cells_inside(image_sizes)
        inside.append(cells[..., None].expand(-1, -1, -1, len(grid.shapes)).flatten(1))
    return torch.cat(inside, dim=1)


def anchors_in_regions(
    grids: list[AnchorGrid], regions: Tensor, image_index: Tensor, num_images: int
) -> Tensor:
    """(N, R) bool: which anchors have at least half of their area inside one region.

    Args:
        grids: one per level.
        regions: (G, 4), XYXY in pixels, regions of all images.
        image_index: (G,) int64, the image each region is in.
        num_images: N.
    """
    covered = []
    x1, y1, x2, y2 = regions[:, :, None, None].unbind(dim=1)  # each (G, 1, 1)
    for grid in grids:
        xs, ys = grid.centers()
        half_widths, half_heights = (grid.shapes / 2).unbind(dim=1)
        # Share of an anchor's width and height that lies inside: (G, W, A) and (G, H, A).
        left, right = xs[:, None] - half_widths, xs[:, None] + half_widths
        top, bottom = ys[:, None] - half_heights, ys[:, None] + half_heights
        share_x = (torch.minimum(right, x2) - torch.maximum(left, x1)).clamp(min=0) / (right - left)
        share_y = (torch.minimum(bottom, y2) - torch.maximum(top, y1)).clamp(min=0) / (bottom - top)
        inside = torch.zeros(num_images, len(grid), dtype=torch.int32, device=regions.device)
        regions_per_chunk = max(1, _PAIRS_PER_CHUNK // len(grid))
        for start in range(0, len(regions), regions_per_chunk):
            rows = slice(start, start + regions_per_chunk)
            shares = share_y[rows, :, None] * share_x[rows, None]  # (G, H, W, A)
            inside.index_add_(0, image_index[rows], (shares >= 0.5).flatten(1).int())
        covered.append(inside > 0)
    return torch.cat(covered, dim=1)
