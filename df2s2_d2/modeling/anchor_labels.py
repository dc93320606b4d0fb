"""The labels of a batch's anchors: matching, and ignored regions left out of the background."""

from __future__ import annotations

import torch
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid
from df2s2_d2.modeling.ground_truth import GroundTruth
from df2s2_d2.modeling.matching import IGNORED, POSITIVE, AnchorMatcher, Matches

# Region-anchor pairs compared at once.
_PAIRS_PER_CHUNK = 1_000_000


def label_anchors(
    matcher: AnchorMatcher, grids: list[AnchorGrid], ground_truth: GroundTruth
) -> Matches:
    """What each anchor is trained on; background mostly inside an ignored region is left out.

    torch.compile takes this for one operator of its own: how often it loops depends on the faces.

    Args:
        matcher: the rule.
        grids: the anchors, one grid per level.
        ground_truth: of the batch.
    """
    if torch.compiler.is_compiling():
        return Matches(*_label_anchors_operator(*_flatten(matcher, grids, ground_truth)))
    truth = ground_truth
    matches = matcher(grids, truth.faces, truth.face_images, truth.image_sizes)
    if not len(truth.regions):
        return matches
    covered = anchors_in_regions(grids, truth.regions, truth.region_images, len(truth.image_sizes))
    left_out = covered & (matches.labels != POSITIVE)
    return Matches(matches.labels.masked_fill(left_out, IGNORED), matches.faces)


@torch.no_grad()
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


# An operator takes and gives nothing but tensors and numbers.


@torch.library.custom_op("df2s2_d2::label_anchors", mutates_args=())
def _label_anchors_operator(
    annotations: list[Tensor],
    shapes: list[Tensor],
    cells: list[int],
    offset: float,
    max_shapes: list[float],
    thresholds: list[float],
    allow_low_quality_matches: bool,
) -> tuple[Tensor, Tensor]:
    """See :func:`_flatten`."""
    grids = [
        AnchorGrid(*cells[3 * i : 3 * i + 3], offset, shape, tuple(max_shapes[2 * i : 2 * i + 2]))
        for i, shape in enumerate(shapes)
    ]
    matcher = AnchorMatcher(tuple(thresholds), allow_low_quality_matches)
    matches = label_anchors(matcher, grids, GroundTruth(*annotations))
    return matches.labels, matches.faces


@_label_anchors_operator.register_fake
def _(annotations, shapes, cells, *_) -> tuple[Tensor, Tensor]:
    num_anchors = sum(
        cells[3 * i] * cells[3 * i + 1] * len(shape) for i, shape in enumerate(shapes)
    )
    image_sizes = annotations[-1]
    size = (len(image_sizes), num_anchors)
    return (
        image_sizes.new_empty(size, dtype=torch.int8),
        image_sizes.new_empty(size, dtype=torch.int64),
    )


def _flatten(
    matcher: AnchorMatcher, grids: list[AnchorGrid], truth: GroundTruth
) -> tuple[list[Tensor], list[Tensor], list[int], float, list[float], list[float], bool]:
    """The arguments of the operator."""
    annotations = [truth.faces, truth.face_images, truth.regions, truth.region_images]
    return (
        [*annotations, truth.image_sizes],
        [grid.shapes for grid in grids],
        [number for grid in grids for number in (grid.height, grid.width, grid.stride)],
        grids[0].offset,
        [length for grid in grids for length in grid.max_shape],
        [matcher.low, matcher.high],
        matcher.allow_low_quality_matches,
    )
