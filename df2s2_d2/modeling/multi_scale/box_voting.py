"""Merging the boxes that several looks at one image gave for the same object."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms

# Bounds the memory of comparing boxes: about 100 bytes a pair.
_PAIRS_PER_BLOCK = 1 << 20

# The IoU of two boxes comes out differently by this much, depending on who computes it.
_ROUNDING = 1e-6


def box_voting(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    iou_threshold: float,
    keep_single_votes: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Replace each group of boxes by its score-weighted mean box (DSFD, test code).

    The highest-scoring box and all of its class that overlap it enough are a group; then the
    highest-scoring of those left, and so on.

    Args:
        boxes: (N, 4), XYXY in pixels.
        scores: (N,), positive.
        classes: (N,) integers.
        iou_threshold: from this IoU with the first box of a group on, a box belongs to it; above 0.
        keep_single_votes: whether groups of one box are kept, as they are.

    Returns:
        (M, 4) mean boxes, (M,) highest scores and (M,) classes of the groups, by descending score.
    """
    if len(boxes) == 0:
        return boxes, scores, classes
    # In double precision, so that moving every class to a place of its own rounds nothing away.
    places = boxes.double()
    places = places + (classes * (places.max() - places.min() + 1))[:, None]

    leaders = nms(places, scores.double(), iou_threshold - _ROUNDING)
    group = _first_overlapping(places, places[leaders], iou_threshold - 2 * _ROUNDING)
    group[leaders] = torch.arange(len(leaders), device=group.device)

    votes = torch.bincount(group, minlength=len(leaders))
    weights = scores.double()[:, None]
    # Sum of weights, and of weighted corners; as offsets, so that equal boxes stay exactly equal.
    totals = torch.zeros(len(leaders), 5, dtype=torch.float64, device=boxes.device)
    offsets = (boxes.double() - boxes[leaders].double()[group]) * weights
    totals.index_add_(0, group, torch.cat((weights, offsets), dim=1))
    means = boxes[leaders].double() + totals[:, 1:] / totals[:, :1]

    keep = votes > (0 if keep_single_votes else 1)
    leaders = leaders[keep]
    return means[keep].to(boxes.dtype), scores[leaders], classes[leaders]


def _first_overlapping(boxes: Tensor, leaders: Tensor, iou_threshold: float) -> Tensor:
    """Index of the first leader that each box overlaps by more than a threshold, (N,)."""
    left, order = leaders[:, 0].sort()
    # If the IoU is t, left edges are at most (1 - t) widths apart to the right and 1 / t - 1 to the
    # left, as the IoU of boxes never exceeds that of their projections.
    width = boxes[:, 2] - boxes[:, 0]
    start = torch.searchsorted(left, boxes[:, 0] - (1 / iou_threshold - 1) * width)
    stop = torch.searchsorted(left, boxes[:, 0] + (1 - iou_threshold) * width, right=True)
    counts = stop - start

    first = torch.full_like(counts, len(leaders))
    blocks = torch.bincount(counts.cumsum(0) // _PAIRS_PER_BLOCK).tolist()
    for indices in torch.arange(len(boxes), device=boxes.device).split(blocks):
        box = indices.repeat_interleave(counts[indices])
        # Counts on within each box's run of leaders.
        run_start = start[indices] - counts[indices].cumsum(0) + counts[indices]
        leader = order[
            run_start.repeat_interleave(counts[indices]) + torch.arange(len(box), device=box.device)
        ]
        overlaps = _paired_iou(boxes[box], leaders[leader]) > iou_threshold
        first.scatter_reduce_(0, box[overlaps], leader[overlaps], "amin")
    return first


def _paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of each of (P, 4) boxes with its partner."""
    sides = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    common = sides.clamp(min=0).prod(dim=1)
    return common / ((a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - common)
