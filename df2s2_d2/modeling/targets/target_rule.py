"""What a shot is trained on: the anchors' labels and the weak masks, made in one go.

How often this loops depends on the faces. So torch.compile takes it for one operator, which it
neither looks into nor compiles anew for other numbers of faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid
from df2s2_d2.modeling.targets.anchor_matching import IGNORED, POSITIVE, AnchorMatcher, Matches
from df2s2_d2.modeling.targets.ground_truth import GroundTruth
from df2s2_d2.modeling.targets.ignored_regions import anchors_in_regions
from df2s2_d2.modeling.targets.weak_masks import (
    cells_in_regions,
    faces_by_matching,
    faces_by_scale,
    rasterize_weak_mask,
)


class MaskTarget(NamedTuple):
    """What one level's mask prediction is to be: ``mask`` on the ``participating`` cells.

    Both are (N, H, W) bool.
    """

    mask: Tensor
    participating: Tensor


class Targets(NamedTuple):
    """What the predictions for a batch are to be; ``masks`` one per level, if there are any."""

    matches: Matches
    masks: list[MaskTarget] | None


@dataclass(frozen=True)
class TargetRule:
    """How the annotations of a batch become targets.

    Attributes:
        matcher: decides what each anchor is trained on.
        mask_assignment: "matching" or "scale", which faces a level's mask shows.
        anchor_sizes: per level, square roots of the anchors' areas in pixels.
    """

    matcher: AnchorMatcher
    mask_assignment: str
    anchor_sizes: list[list[float]]

    def __post_init__(self):
        if self.mask_assignment not in ("matching", "scale"):
            raise ValueError(
                "WEAK_MASK.ASSIGNMENT must be 'matching' or 'scale', found "
                f"{self.mask_assignment!r}"
            )

    def __call__(
        self, grids: list[AnchorGrid], ground_truth: GroundTruth, with_masks: bool
    ) -> Targets:
        """
        Args:
            grids: the anchors, one grid per level.
            ground_truth: of the batch.
            with_masks: whether the head predicts masks.
        """
        if torch.compiler.is_compiling():
            return _call_operator(self, grids, ground_truth, with_masks)
        matches = self.match(grids, ground_truth)
        masks = self.masks(grids, matches, ground_truth) if with_masks else None
        return Targets(matches, masks)

    @torch.no_grad()
    def match(self, grids: list[AnchorGrid], ground_truth: GroundTruth) -> Matches:
        """What each anchor is trained on; background mostly inside an ignored region is left out.

        Args:
            grids: the anchors, one grid per level.
            ground_truth: of the batch.
        """
        truth = ground_truth
        matches = self.matcher(grids, truth.faces, truth.face_images, truth.image_sizes)
        if not len(truth.regions):
            return matches
        covered = anchors_in_regions(
            grids, truth.regions, truth.region_images, len(truth.image_sizes)
        )
        left_out = covered & (matches.labels != POSITIVE)
        return Matches(matches.labels.masked_fill(left_out, IGNORED), matches.faces)

    @torch.no_grad()
    def masks(
        self, grids: list[AnchorGrid], matches: Matches, ground_truth: GroundTruth
    ) -> list[MaskTarget]:
        """The weak mask of each level (DF²S² §3.2).

        Args:
            grids: one per level.
            matches: of :meth:`match`.
            ground_truth: of the batch.
        """
        faces, images = ground_truth.faces, ground_truth.face_images
        if self.mask_assignment == "matching":
            on_level = faces_by_matching(matches, grids, len(faces))
        else:
            on_level = faces_by_scale(faces, self.anchor_sizes)
        image_sizes = ground_truth.image_sizes
        targets = []
        for grid, chosen in zip(grids, on_level.unbind(dim=1), strict=True):
            mask = rasterize_weak_mask(grid, faces, chosen, images, image_sizes)
            left_out = cells_in_regions(
                grid, ground_truth.regions, ground_truth.region_images, len(image_sizes)
            )
            targets.append(MaskTarget(mask, grid.cells_inside(image_sizes) & ~left_out))
        return targets


# An operator takes and gives nothing but tensors and numbers.


@torch.library.custom_op("df2s2_d2::targets", mutates_args=())
def _targets_operator(
    annotations: list[Tensor],
    shapes: list[Tensor],
    cells: list[int],
    offset: float,
    max_shapes: list[float],
    iou_thresholds: list[float],
    allow_low_quality_matches: bool,
    mask_assignment: str,
    anchor_sizes: list[float],
    with_masks: bool,
) -> list[Tensor]:
    """See :func:`_call_operator`."""
    grids = [
        AnchorGrid(*cells[3 * i : 3 * i + 3], offset, shape, tuple(max_shapes[2 * i : 2 * i + 2]))
        for i, shape in enumerate(shapes)
    ]
    per_level = len(anchor_sizes) // len(grids)
    sizes = [anchor_sizes[i : i + per_level] for i in range(0, len(anchor_sizes), per_level)]
    matcher = AnchorMatcher(tuple(iou_thresholds), allow_low_quality_matches)
    rule = TargetRule(matcher, mask_assignment, sizes)
    matches, masks = rule(grids, GroundTruth(*annotations), with_masks)
    return [matches.labels, matches.faces, *(tensor for mask in masks or [] for tensor in mask)]


@_targets_operator.register_fake
def _(annotations, shapes, cells, *others) -> list[Tensor]:
    with_masks = others[-1]
    image_sizes = annotations[-1]
    maps = [(cells[3 * i], cells[3 * i + 1]) for i in range(len(shapes))]
    num_anchors = sum(
        height * width * len(shape) for (height, width), shape in zip(maps, shapes, strict=True)
    )
    size = (len(image_sizes), num_anchors)
    targets = [image_sizes.new_empty(size, dtype=dtype) for dtype in (torch.int8, torch.int64)]
    if with_masks:
        for height, width in maps:
            size = (len(image_sizes), height, width)
            targets += [image_sizes.new_empty(size, dtype=torch.bool) for _ in range(2)]
    return targets


def _call_operator(
    rule: TargetRule, grids: list[AnchorGrid], ground_truth: GroundTruth, with_masks: bool
) -> Targets:
    truth = ground_truth
    labels, owners, *masks = _targets_operator(
        [truth.faces, truth.face_images, truth.regions, truth.region_images, truth.image_sizes],
        shapes=[grid.shapes for grid in grids],
        cells=[number for grid in grids for number in (grid.height, grid.width, grid.stride)],
        offset=grids[0].offset,
        max_shapes=[length for grid in grids for length in grid.max_shape],
        iou_thresholds=[rule.matcher.low, rule.matcher.high],
        allow_low_quality_matches=rule.matcher.allow_low_quality_matches,
        mask_assignment=rule.mask_assignment,
        anchor_sizes=[size for sizes in rule.anchor_sizes for size in sizes],
        with_masks=with_masks,
    )
    pairs = [MaskTarget(*masks[i : i + 2]) for i in range(0, len(masks), 2)]
    return Targets(Matches(labels, owners), pairs if with_masks else None)
