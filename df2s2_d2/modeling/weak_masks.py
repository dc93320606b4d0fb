"""Weak segmentation ground truth: the face boxes of a level, filled (DF²S² §3.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid
from df2s2_d2.modeling.matching import POSITIVE, Matches


@torch.no_grad()
def faces_by_matching(matches: Matches, grids: list[AnchorGrid], num_faces: int) -> Tensor:
    """(F, L) bool: the faces that have at least one positive anchor on a level."""
    levels = []
    sizes = [len(grid) for grid in grids]
    for labels, faces in zip(
        matches.labels.split(sizes, dim=1), matches.faces.split(sizes, dim=1), strict=True
    ):
        # Row F collects the anchors that belong to no face.
        hits = torch.zeros(num_faces + 1, dtype=torch.bool, device=faces.device)
        owners = torch.where(labels == POSITIVE, faces, num_faces).flatten()
        hits.index_fill_(0, owners, True)  # unlike indexing, never a blocking copy of the value
        levels.append(hits[:num_faces])
    return torch.stack(levels, dim=1)


@torch.no_grad()
def faces_by_scale(faces: Tensor, anchor_sizes: list[list[float]]) -> Tensor:
    """(F, L) bool: the faces whose size is within a factor √2 of a level's anchor sizes.

    The first level takes all smaller faces too, the last one all larger faces.

    Args:
        faces: (F, 4), XYXY in pixels.
        anchor_sizes: per level, square roots of the anchors' areas in pixels.
    """
    side = (faces[:, 2:] - faces[:, :2]).prod(dim=1).sqrt()
    lower = [0.0] + [min(sizes) / math.sqrt(2) for sizes in anchor_sizes[1:]]
    upper = [max(sizes) * math.sqrt(2) for sizes in anchor_sizes[:-1]] + [math.inf]
    return torch.stack(
        [(side >= low) & (side < high) for low, high in zip(lower, upper, strict=True)], dim=1
    )


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
    x1, y1, x2, y2 = faces.unbind(dim=1)
    xs, ys = grid.centers()
    inside_x, inside_y = (inside[image_index] for inside in grid.inside(image_sizes))
    columns = (xs >= x1[:, None]) & (xs < x2[:, None]) & inside_x  # (F, W)
    rows = (ys >= y1[:, None]) & (ys < y2[:, None]) & inside_y  # (F, H)
    empty = ~(columns.any(dim=1) & rows.any(dim=1))[:, None]
    columns = torch.where(empty, _nearest_cell((x1 + x2) / 2, inside_x, grid), columns)
    rows = torch.where(empty, _nearest_cell((y1 + y2) / 2, inside_y, grid), rows)
    return _paint(rows & chosen[:, None], columns, image_index, len(image_sizes))


def _paint(rows: Tensor, columns: Tensor, image_index: Tensor, num_images: int) -> Tensor:
    """(N, H, W) bool: union of the boxes that span ``rows`` (F, H) and ``columns`` (F, W)."""
    # One-hot images sort the boxes into images, so that one matrix product paints them all.
    images = torch.arange(num_images, device=rows.device)[:, None]
    rows = rows & (image_index == images)[:, :, None]  # (N, F, H)
    return rows.transpose(1, 2).float() @ columns.float() > 0


def _nearest_cell(centers: Tensor, inside: Tensor, grid: AnchorGrid) -> Tensor:
    """(F, C) bool: in a row of cells the one nearest to each center (F,) among those inside."""
    last = inside.sum(dim=1) - 1  # cells inside the image come first
    nearest = torch.round(centers / grid.stride - grid.offset).long().clamp(min=0)
    cells = torch.arange(inside.shape[1], device=inside.device)
    return cells == torch.minimum(nearest, last)[:, None]


@torch.no_grad()
def cells_in_regions(
    grid: AnchorGrid, regions: Tensor, image_index: Tensor, num_images: int
) -> Tensor:
    """(N, H, W) bool: cells whose centre lies inside one of the regions (G, 4), XYXY pixels."""
    xs, ys = grid.centers()
    x1, y1, x2, y2 = regions[:, :, None].unbind(dim=1)
    columns = (xs >= x1) & (xs < x2)  # (G, W)
    rows = (ys >= y1) & (ys < y2)  # (G, H)
    return _paint(rows, columns, image_index, num_images)
