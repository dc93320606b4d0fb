"""Weak segmentation ground truth: the face boxes of a level, filled (DF²S² §3.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid
from df2s2_d2.modeling.targets.anchor_matching import Matches


@torch.no_grad()
def faces_by_matching(matches: Matches, grids: list[AnchorGrid], num_faces: int) -> Tensor:
    """(F, L) bool: the faces that have at least one positive anchor on a level."""
    levels = []
    sizes = [len(grid) for grid in grids]
    for faces in matches.faces.split(sizes, dim=1):
        # Row F collects the anchors that belong to no face.
        hits = torch.zeros(num_faces + 1, dtype=torch.bool, device=faces.device)
        hits.index_fill_(0, faces.flatten(), True)  # never a blocking copy, unlike indexing
        levels.append(hits[:num_faces])
    return torch.stack(levels, dim=1)


@torch.no_grad()
def faces_by_scale(faces: Tensor, anchor_sizes: list[list[float]]) -> Tensor:
    """(F, L) bool: the faces whose size is within a factor √2 of a level's anchor sizes.

    The first level takes all smaller faces too, the last one all larger faces; a box without an
    area is on no level.

    Args:
        faces: (F, 4), XYXY in pixels.
        anchor_sizes: per level, square roots of the anchors' areas in pixels.
    """
    side = (faces[:, 2:] - faces[:, :2]).prod(dim=1).sqrt()
    lower = [0.0] + [min(sizes) / math.sqrt(2) for sizes in anchor_sizes[1:]]
    upper = [max(sizes) * math.sqrt(2) for sizes in anchor_sizes[:-1]] + [math.inf]
    levels = [(side >= low) & (side < high) for low, high in zip(lower, upper, strict=True)]
    return torch.stack(levels, dim=1) & (side > 0)[:, None]


@torch.no_grad()
def rasterize_weak_mask(
    grid: AnchorGrid, faces: Tensor, chosen: Tensor, image_index: Tensor, image_sizes: Tensor
) -> Tensor:
    """Union of filled boxes on the cells of one level.

    A cell is on when its centre lies in a chosen box. A box too small to hold any centre turns
    on the cell nearest to its own centre.

    Args:
        grid: the level.
        faces: (F, 4), XYXY in pixels.
        chosen: (F,) bool, the faces that belong to the level.
        image_index: (F,) int64, the image each face is in.
        image_sizes: (N, 2), height and width of the images before padding.

    Returns:
        (N, H, W) bool; off in the padding.
    """
    xs, ys = grid.centers()
    limits = image_sizes[image_index]
    first_columns, end_columns = _cells_between(xs, faces[:, 0], faces[:, 2], limits[:, 1])
    first_rows, end_rows = _cells_between(ys, faces[:, 1], faces[:, 3], limits[:, 0])
    empty = (first_columns >= end_columns) | (first_rows >= end_rows)
    centers = (faces[:, :2] + faces[:, 2:]) / 2
    columns = _nearest_cell(xs, centers[:, 0], limits[:, 1], grid)
    rows = _nearest_cell(ys, centers[:, 1], limits[:, 0], grid)
    spans = [
        torch.where(empty, nearest, span)
        for nearest, span in (
            (rows.clamp(min=0), first_rows),  # without a cell inside: 0 to 0, which is empty
            (rows + 1, end_rows),
            (columns.clamp(min=0), first_columns),
            (columns + 1, end_columns),
        )
    ]
    return _paint(spans, chosen, image_index, (len(image_sizes), grid.height, grid.width))


@torch.no_grad()
def cells_in_regions(
    grid: AnchorGrid, regions: Tensor, image_index: Tensor, num_images: int
) -> Tensor:
    """(N, H, W) bool: cells whose centre lies inside one of the regions (G, 4), XYXY pixels."""
    xs, ys = grid.centers()
    x1, y1, x2, y2 = regions.unbind(dim=1)
    spans = [*_cells_between(ys, y1, y2), *_cells_between(xs, x1, x2)]
    everywhere = torch.ones_like(image_index, dtype=torch.bool)
    return _paint(spans, everywhere, image_index, (num_images, grid.height, grid.width))


def _cells_between(
    places: Tensor, start: Tensor, end: Tensor, limits: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """First cell and the one behind the last whose centre lies in [start, end), each (F,)."""
    if limits is not None:
        end = torch.minimum(end, limits)
    return _count_below(places, start), _count_below(places, end)


def _count_below(places: Tensor, ends: Tensor) -> Tensor:
    return torch.searchsorted(places, ends.contiguous())


def _nearest_cell(places: Tensor, centers: Tensor, limits: Tensor, grid: AnchorGrid) -> Tensor:
    """(F,) in a row of cells the one nearest to each center among those inside; -1 if none is."""
    nearest = torch.round(centers / grid.stride - grid.offset).long().clamp(min=0)
    return torch.minimum(nearest, _count_below(places, limits.to(places.dtype)) - 1)


def _paint(
    spans: list[Tensor], chosen: Tensor, image_index: Tensor, size: tuple[int, int, int]
) -> Tensor:
    """Union of rectangles of cells, drawn by their corners whatever their areas.

    A rectangle is the running sum, along both axes, of +1 and -1 at its corners.

    Args:
        spans: first row, row behind the last, first column and column behind the last, (F,) int64;
            an empty or reversed span draws nothing.
        chosen: (F,) bool, those to draw.
        image_index: (F,) int64, the image each is in.
        size: N, H and W.

    Returns:
        (N, H, W) bool.
    """
    num_images, height, width = size
    top, bottom, left, right = spans
    chosen = chosen & (top < bottom) & (left < right)
    # A row and a column more hold the corners behind the last cells.
    corners = torch.zeros(
        num_images, height + 1, width + 1, dtype=torch.int32, device=chosen.device
    )
    for row, row_sign in ((top, 1), (bottom, -1)):
        for column, sign in ((left, row_sign), (right, -row_sign)):
            place = (image_index * (height + 1) + row) * (width + 1) + column
            corners.view(-1).index_add_(0, torch.where(chosen, place, 0), sign * chosen.int())
    depth = corners.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32)
    return depth[:, :-1, :-1] > 0
