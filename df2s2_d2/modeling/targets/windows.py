"""Windows of cells around faces, and how far faces overlap the anchors in them.

An anchor's overlap with a face is the product of what they share in x and in y. Along each axis
a window has few cells, so the best place of every anchor shape is found without looking at pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid


@dataclass(frozen=True)
class Window:
    """Cells of a level around a face's centre that hold all anchors that can fit the face.

    Attributes:
        grid: the level.
        height, width: extent of the window in cells, Kh and Kw.
    """

    grid: AnchorGrid
    height: int
    width: int

    @classmethod
    def around_faces(cls, grid: AnchorGrid, min_iou: float) -> Window:
        """The window outside of which no anchor has an IoU of ``min_iou`` with the face."""
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
        """Anchors of the window."""
        return self.height * self.width * len(self.grid.shapes)

    def positions(self, centers: Tensor, cells: int, extent: int) -> Tensor:
        """Indices (F, extent) of the cells nearest to ``centers`` (F,), inside 0 ... cells - 1."""
        nearest = torch.round(centers / self.grid.stride - self.grid.offset).long()
        first = (nearest - extent // 2).clamp(0, cells - extent)
        return first[:, None] + torch.arange(extent, device=centers.device)


@dataclass(frozen=True)
class WindowOverlaps:
    """F faces and the anchors of their windows on one level: A shapes on Kh x Kw cells.

    Attributes:
        grid: the level.
        rows, columns: (F, Kh) and (F, Kw) int64, the cells of the window.
        shared_y, shared_x: (F, A, Kh) and (F, A, Kw) float32, pixels that a face shares with the
            anchors of a shape along each axis; 0 for anchors centred outside the image.
        areas: (F, A) float32, areas of face and anchor together.
    """

    grid: AnchorGrid
    rows: Tensor
    columns: Tensor
    shared_y: Tensor
    shared_x: Tensor
    areas: Tensor

    @classmethod
    def of_faces(cls, window: Window, faces: Tensor, limits: Tensor) -> WindowOverlaps:
        """
        Args:
            window: of the level.
            faces: (F, 4), XYXY in pixels.
            limits: (F, 2), height and width of each face's image before padding.
        """
        grid = window.grid
        sizes = (faces[:, 2:] - faces[:, :2]).clamp(min=0)
        centers = (faces[:, :2] + faces[:, 2:]) / 2
        columns = window.positions(centers[:, 0], grid.width, window.width)
        rows = window.positions(centers[:, 1], grid.height, window.height)
        shared = [
            _shared_length(
                (cells + grid.offset) * grid.stride,
                centers[:, axis],
                sizes[:, axis],
                grid.shapes[:, axis],
                limits[:, 1 - axis],
            )
            for axis, cells in enumerate((columns, rows))
        ]
        areas = sizes.prod(dim=1)[:, None] + grid.shapes.prod(dim=1)
        return cls(grid, rows, columns, shared[1], shared[0], areas)

    def best_ious(self) -> Tensor:
        """(F, A) IoU of each face with the best placed anchor of each shape."""
        # IoU grows with both, also as rounded.
        return self._ious(self.shared_y.amax(dim=2) * self.shared_x.amax(dim=2), self.areas)

    def ious(self, face: Tensor, shape: Tensor) -> Tensor:
        """(T, Kh, Kw) IoU of faces (T,) with the anchors of shapes (T,) in their windows."""
        shared_y, shared_x = self.shared_y[face, shape], self.shared_x[face, shape]
        intersection = shared_y[:, :, None] * shared_x[:, None]
        return self._ious(intersection, self.areas[face, shape, None, None])

    @staticmethod
    def _ious(intersection: Tensor, areas: Tensor) -> Tensor:
        return intersection / (areas - intersection)

    def anchors(self, face: Tensor, row: Tensor, column: Tensor, shape: Tensor) -> Tensor:
        """Index among the level's anchors of places in the windows of faces; all (T,) int64."""
        cell = self.rows[face, row] * self.grid.width + self.columns[face, column]
        return cell * len(self.grid.shapes) + shape


def _shared_length(
    places: Tensor, centers: Tensor, lengths: Tensor, anchor_lengths: Tensor, limits: Tensor
) -> Tensor:
    """What faces and anchors share along one axis, (F, A, K); 0 where the anchor is outside.

    It is exact, so that equal fits compare as equal, when one contains the other.

    Args:
        places: (F, K), centres of the anchors.
        centers, lengths: (F,), of the faces.
        anchor_lengths: (A,).
        limits: (F,), where each face's image ends.
    """
    lengths = lengths[:, None]
    half = (lengths + anchor_lengths) / 2  # (F, A)
    distance = (places - centers[:, None]).abs().masked_fill(places >= limits[:, None], torch.inf)
    partial = half[:, :, None] - distance[:, None]
    contained = torch.minimum(lengths, anchor_lengths)
    return torch.minimum(partial, contained[:, :, None]).clamp(min=0)
