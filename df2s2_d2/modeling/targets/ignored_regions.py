"""Anchors inside ignored regions, which are neither face nor background."""

from __future__ import annotations

import torch
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid

# Region-anchor pairs compared at once.
_PAIRS_PER_CHUNK = 1_000_000


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
