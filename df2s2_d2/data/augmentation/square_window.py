"""A window of an image, resized to a square, that may reach beyond the image."""

from __future__ import annotations

import numpy as np
from detectron2.data import transforms as T
from PIL import Image


class SquareWindowTransform(T.Transform):
    """Cut a window out of an image and resize it to a square, in one step.

    Where the window reaches beyond the image, the result shows a constant colour. Only the part
    of the image inside the window is resized, straight to its place in the result, so that memory
    is bounded by the image and the result however large the window is.
    """

    def __init__(
        self,
        x0: float,
        y0: float,
        side: float | np.ndarray,
        size: int,
        pad_value: tuple[float, ...],
    ) -> None:
        """
        Args:
            x0, y0: top-left corner of the window in pixels of the image; fractions are exact.
            side: of the window, likewise; or its width and height, if it is no square itself.
            size: side of the result in pixels.
            pad_value: colour outside the image, a value for each channel.
        """
        super().__init__()
        self.origin = np.array([x0, y0], dtype=np.float64)
        self.side = side
        self.size = size
        self.pad_value = pad_value

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Cut and resize an image (H, W, C) uint8; returns (size, size, C) uint8."""
        result = np.empty((self.size, self.size, img.shape[2]), dtype=img.dtype)
        result[:] = np.rint(self.pad_value).astype(img.dtype)
        return self._paste(img, result, Image.Resampling.BILINEAR)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Cut and resize labels (H, W) uint8; returns (size, size) uint8, 0 outside the image."""
        result = np.zeros((self.size, self.size), dtype=segmentation.dtype)
        return self._paste(segmentation, result, Image.Resampling.NEAREST)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        return (coords - self.origin) * (self.size / self.side)

    def shown(
        self, image_size: tuple[int, int]
    ) -> tuple[tuple[float, float, float, float], tuple[int, int, int, int]]:
        """Tell which part of an image shows, and where in the result.

        Args:
            image_size: height and width of the image.

        Returns:
            Corners x1, y1, x2, y2 in pixels of the image, and those in pixels of the result; the
            latter enclose nothing where no whole pixel shows.
        """
        ends = np.array(image_size[::-1])
        step = self.side / self.size
        # Only pixels of the result that lie wholly in the image, so that none is shifted.
        first = np.ceil(-self.origin / step).clip(0, self.size).astype(int)
        last = np.floor((ends - self.origin) / step).clip(first, self.size).astype(int)
        start = (self.origin + first * step).clip(0, ends)
        end = (self.origin + last * step).clip(start, ends)
        return (*start.tolist(), *end.tolist()), (*first.tolist(), *last.tolist())

    def _paste(self, img: np.ndarray, result: np.ndarray, resampling: int) -> np.ndarray:
        box, (left, top, right, bottom) = self.shown(img.shape[:2])
        if right > left and bottom > top:
            # Unlike OpenCV's, Pillow's bilinear filter widens when it shrinks: no aliasing.
            patch = Image.fromarray(img).resize((right - left, bottom - top), resampling, box=box)
            result[top:bottom, left:right] = patch
        return result
