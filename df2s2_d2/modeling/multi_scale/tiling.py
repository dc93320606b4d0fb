"""A large image as overlapping tiles, each small enough to be looked at in one piece."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Detections closer than this share of the overlap to where their tile is cut may be cut themselves.
_MARGIN = 1 / 8


def padded_size(size: tuple[int, int], divisor: int) -> tuple[int, int]:
    """Height and width after padding to multiples of ``divisor``."""
    height, width = (math.ceil(side / divisor) * divisor for side in size)
    return height, width


class Tiles:
    """Tiles of an image; neighbours overlap.

    Tiles begin at multiples of ``divisor``, so that the cells of a network's maps, up to that
    stride, lie where they lie in the whole image.

    Attributes:
        image_size: (height, width).
        corners: (T, 4) int64, XYXY of each tile in pixels of the image.

    Args:
        image_size: (height, width).
        max_pixels: largest area of a tile, padded to multiples of ``divisor``.
        overlap: at least so many pixels are common to neighbours.
        divisor: to multiples of which the network pads its images.

    Raises:
        ValueError: if ``max_pixels`` leaves no room between the overlaps.
    """

    def __init__(self, image_size: tuple[int, int], max_pixels: int, overlap: int, divisor: int):
        self.image_size = image_size
        self.overlap = overlap
        height, width = padded_size(image_size, divisor)
        if height * width > max_pixels:
            shortest = math.isqrt(max_pixels) // divisor * divisor
            if shortest < overlap + divisor:
                raise ValueError(
                    f"tiles of {max_pixels} pixels cannot overlap by {overlap}: allow "
                    f"{(math.ceil(overlap / divisor) + 1) ** 2 * divisor**2} pixels or more"
                )
            # Square, unless one side of the image is shorter; then the other may be longer.
            height_limit = min(height, shortest)
            width = min(width, max_pixels // height_limit // divisor * divisor)
            height = min(height, max_pixels // width // divisor * divisor)
        rows, columns = (
            self._spans(side, longest, divisor)
            for side, longest in zip(image_size, (height, width), strict=True)
        )
        top, bottom = rows.repeat_interleave(len(columns), dim=0).unbind(1)
        left, right = columns.repeat(len(rows), 1).unbind(1)
        self.corners = torch.stack((left, top, right, bottom), dim=1)

    def _spans(self, side: int, longest: int, divisor: int) -> Tensor:
        """Start and end of the tiles along one side of the image, (n, 2)."""
        padded, overlap = padded_size((side, self.overlap), divisor)
        if padded <= longest:
            return torch.tensor([[0, side]])
        count = math.ceil((padded - overlap) / (longest - overlap))
        # As short as so many tiles can be.
        length = math.ceil((padded + (count - 1) * overlap) / count / divisor) * divisor
        starts = (torch.arange(count) * (length - overlap)).clamp(max=padded - length)
        return torch.stack((starts, starts + length), dim=1).clamp(max=side)

    def __len__(self) -> int:
        return len(self.corners)

    def selects(self, boxes: Tensor, tile: int, keep_cut: bool) -> Tensor:
        """Which detections of a tile are to be kept: those that it does not cut.

        A tile cuts what comes close to its border inside the image. What is shorter than three
        quarters of the overlap is cut by some tiles, but not by all that show it.

        Args:
            boxes: (D, 4) XYXY in pixels of the image, found in the tile.
            tile: its index.
            keep_cut: whether detections that every tile cuts are kept.

        Returns:
            (D,) bool.
        """
        whole = self._room(boxes) >= self.overlap * _MARGIN
        return whole[:, tile] | (keep_cut & ~whole.any(dim=1))

    def _room(self, boxes: Tensor) -> Tensor:
        """Pixels between a box and the closest border that cuts the image, (D, T)."""
        corners = self.corners.to(boxes)
        height, width = self.image_size
        ends = boxes.new_tensor([width, height])
        before = boxes[:, None, :2] - corners[:, :2]
        behind = corners[:, 2:] - boxes[:, None, 2:]
        before = before.masked_fill(corners[:, :2] == 0, math.inf)
        behind = behind.masked_fill(corners[:, 2:] == ends, math.inf)
        return torch.cat((before, behind), dim=2).amin(dim=2)
