"""Levels above the topmost map of a neck, pooled from it."""

from __future__ import annotations

import math

import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from torch import Tensor


class PooledLevels:
    """Names the maps p2, p3, ... (k = log2 of the stride), and max-pools more of the topmost one.

    What is left at the edge of a map of odd size gets a cell of its own.

    Args:
        shapes: of the maps to begin with, finest first.
        num_levels: levels above them, each of half the size of the one before.
        kernel_size: of the stride-2 pooling, 2 or 1.

    Attributes:
        output_shape: channels and stride of every map, by name.
        sources: name of each pooled level -> name of the map that it is pooled from.

    Raises:
        ValueError: if the number is negative.
    """

    def __init__(self, shapes: list[ShapeSpec], num_levels: int, kernel_size: int = 2):
        if num_levels < 0:
            raise ValueError(f"NUM_POOLED_LEVELS of a neck must be 0 or more, found {num_levels}")
        top = shapes[-1]
        pooled = [
            ShapeSpec(channels=top.channels, stride=top.stride * 2**level)
            for level in range(1, num_levels + 1)
        ]
        self.num_levels = num_levels
        self.kernel_size = kernel_size
        self.output_shape = {_name(shape): shape for shape in [*shapes, *pooled]}
        self.sources = {_name(shape): _name(top) for shape in pooled}

    def __call__(self, maps: list[Tensor]) -> dict[str, Tensor]:
        """All maps by name.

        Args:
            maps: (N, C, H, W) each, finest first, those to begin with.
        """
        maps = list(maps)
        for _ in range(self.num_levels):
            maps.append(F.max_pool2d(maps[-1], self.kernel_size, stride=2, ceil_mode=True))
        return dict(zip(self.output_shape, maps, strict=True))


def _name(shape: ShapeSpec) -> str:
    return f"p{int(math.log2(shape.stride))}"
