"""Anchors of a pyramid as regular grids, so that matching can reason about cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from detectron2.layers import move_device_like
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from torch import Tensor


@dataclass(frozen=True)
class AnchorGrid:
    """The anchors of one level: the same A shapes at every cell of an H x W grid.

    Attributes:
        height, width: cells of the grid.
        stride: pixels between neighbouring cells.
        offset: a cell's centre lies at (index + offset) x stride.
        shapes: (A, 2) float32, width and height of each anchor in pixels.
        max_shape: largest width and height among ``shapes``, known without asking the device.
    """

    height: int
    width: int
    stride: int
    offset: float
    shapes: Tensor
    max_shape: tuple[float, float]

    def __len__(self) -> int:
        return self.height * self.width * len(self.shapes)

    def centers(self) -> tuple[Tensor, Tensor]:
        """x of every column, shape (W,), and y of every row, shape (H,), in pixels."""
        xs, ys = _count_up_to(self.width, self.shapes), _count_up_to(self.height, self.shapes)
        return (xs + self.offset) * self.stride, (ys + self.offset) * self.stride

    def boxes(self) -> Tensor:
        """All anchors as XYXY pixels, (H x W x A, 4), ordered as detectron2 orders them."""
        xs, ys = self.centers()
        centers = torch.stack(
            (xs.expand(self.height, -1), ys[:, None].expand(-1, self.width)), dim=-1
        )
        return _boxes_around(centers[:, :, None], self.shapes).reshape(-1, 4)

    def boxes_at(self, rows: Tensor, columns: Tensor, shapes: Tensor) -> Tensor:
        """The anchors of some cells as XYXY pixels, (P, 4), equal to those of :meth:`boxes`.

        Args:
            rows, columns, shapes: (P,) int64, places of the anchors in (H, W, A).
        """
        xs, ys = self.centers()
        centers = torch.stack((xs[columns], ys[rows]), dim=-1)
        return _boxes_around(centers, self.shapes[shapes])

    def inside(self, image_sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Which columns, (N, W), and rows, (N, H), have their centre inside each image.

        Args:
            image_sizes: (N, 2), height and width of the images before padding.
        """
        xs, ys = self.centers()
        return xs < image_sizes[:, 1:], ys < image_sizes[:, :1]

    def cells_inside(self, image_sizes: Tensor) -> Tensor:
        """Which cells, (N, H, W), have their centre inside each image; see :meth:`inside`."""
        columns, rows = self.inside(image_sizes)
        return rows[:, :, None] & columns[:, None]


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


def _boxes_around(centers: Tensor, sizes: Tensor) -> Tensor:
    """Boxes (..., 4), XYXY, of centres and widths and heights, both (..., 2)."""
    half = sizes / 2
    return torch.cat((centers - half, centers + half), dim=-1)


def _count_up_to(count: int, like: Tensor) -> Tensor:
    # A trace takes the device down as a constant; what is moved like another tensor follows that.
    return move_device_like(torch.arange(count, dtype=torch.float32, device=like.device), like)


class GridAnchorGenerator(DefaultAnchorGenerator):
    """detectron2's anchors with sizes that follow the strides, given back as grids.

    Args:
        strides: stride of each level in pixels.
        scale: base size (square root of the area) in units of the stride.
        octaves: factors on the base size; together with the ratios they make the A anchors.
        aspect_ratios: height / width.
        offset: place of an anchor's centre in its cell, in cells.

    Raises:
        ValueError: if an anchor would have no area, or there would be none.
    """

    def __init__(
        self,
        *,
        strides: list[int],
        scale: float,
        octaves: list[float],
        aspect_ratios: list[float],
        offset: float,
    ):
        factors = {"SCALE": [scale], "OCTAVES": octaves, "ASPECT_RATIOS": aspect_ratios}
        for key, values in factors.items():
            if not values or not all(value > 0 for value in values):
                raise ValueError(
                    f"ANCHORS.{key} of MODEL.SHOT or MODEL.FIRST_SHOT must be above 0, "
                    f"found {list(values)}"
                )
        self.sizes = [[scale * stride * octave for octave in octaves] for stride in strides]
        super().__init__(
            sizes=self.sizes, aspect_ratios=[aspect_ratios], strides=strides, offset=offset
        )
        self.max_shapes = [
            tuple(cells[:, 2:].max(dim=0).values.mul(2).tolist()) for cells in self.cell_anchors
        ]

    @classmethod
    def from_node(cls, cfg: CfgNode, strides: list[int]) -> GridAnchorGenerator:
        """Build the anchors of a shot's node ``ANCHORS``."""
        return cls(
            strides=strides,
            scale=cfg.SCALE,
            octaves=cfg.OCTAVES,
            aspect_ratios=cfg.ASPECT_RATIOS,
            offset=cfg.OFFSET,
        )

    def grids(self, sizes: list[tuple[int, int]]) -> list[AnchorGrid]:
        """One grid per level for maps of the given (height, width)."""
        return [
            AnchorGrid(height, width, stride, self.offset, cells[:, 2:] - cells[:, :2], max_shape)
            for (height, width), stride, cells, max_shape in zip(
                sizes, self.strides, self.cell_anchors, self.max_shapes, strict=True
            )
        ]
