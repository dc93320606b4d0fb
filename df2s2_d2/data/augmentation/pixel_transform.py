"""Changes of an image's pixels alone."""

from __future__ import annotations

import numpy as np
from detectron2.data import transforms as T


class PixelTransform(T.Transform):
    """A transform that leaves size, coordinates and segmentation as they are.

    Subclasses say what becomes of the pixels in ``apply_image``. What they did cannot be undone,
    and need not be to bring coordinates back.
    """

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        return segmentation

    def inverse(self) -> T.Transform:
        return T.NoOpTransform()
