"""The resizing of test images, in bounded memory."""

from __future__ import annotations

import numpy as np
from detectron2.data import transforms as T


class BoundedResize(T.ResizeShortestEdge):
    """As detectron2's, but images that would get too large keep their size.

    A strip of a few pixels' height would be enlarged to any size. Who looks at it is to choose
    another size, see :class:`~df2s2_d2.modeling.multi_scale.BoundedDetector`.
    """

    def __init__(self, short_side: int, longest_side: int, max_pixels: int) -> None:
        """
        Args:
            short_side, longest_side: of the result in pixels, the latter at most.
            max_pixels: height x width of the largest result.
        """
        super().__init__(short_side, longest_side, "choice")
        self.short_side = short_side
        self.longest_side = longest_side
        self.max_pixels = max_pixels

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """The resize of an image (H, W, 3)."""
        resize = super().get_transform(image)
        is_too_large = resize.new_h * resize.new_w > self.max_pixels
        return T.NoOpTransform() if is_too_large else resize
