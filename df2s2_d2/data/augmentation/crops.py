"""Random crops, and the rule which faces a crop keeps."""

from __future__ import annotations

import numpy as np
from detectron2.data import transforms as T

# Positions that are tried before a crop without any face is accepted; SSD's number.
_MAX_POSITIONS = 50


def centres_inside(boxes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Tell which boxes have their centre inside which window: the faces that a crop keeps.

    A centre on a window's border is outside, so that mirroring does not change the answer.

    Args:
        boxes: (N, 4) corners x1, y1, x2, y2 in pixels.
        windows: (P, 4) corners, likewise.

    Returns:
        (P, N) bool.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    after_start = centres > windows[:, None, :2]
    before_end = centres < windows[:, None, 2:]
    return (after_start & before_end).all(axis=2)


class RandomSquareCrop(T.Augmentation):
    """Random square crop as in FAN (DF²S² §3.4, "Aug." in tables 1 and 2).

    The side is drawn once, continuous and uniform, so that its distribution does not depend on the
    faces. Positions are drawn uniformly until one keeps a face; should none of them, as in images
    without faces always, the crop shows background.
    """

    def __init__(self, min_scale: float, max_scale: float) -> None:
        """
        Args:
            min_scale, max_scale: range of the side, as a share of the image's short side.

        Raises:
            ValueError: unless 0 < min_scale <= max_scale <= 1.
        """
        super().__init__()
        if not 0 < min_scale <= max_scale <= 1:
            raise ValueError(
                "INPUT.SQUARE_CROP: expected 0 < MIN_SCALE <= MAX_SCALE <= 1; "
                f"found {min_scale} and {max_scale}."
            )
        self.min_scale = min_scale
        self.max_scale = max_scale

    def get_transform(self, image: np.ndarray, boxes: np.ndarray | None) -> T.CropTransform:
        """Draw a crop.

        Args:
            image: (H, W, 3).
            boxes: (N, 4) corners of the faces in pixels; None = not known.
        """
        height, width = image.shape[:2]
        side = round(min(height, width) * np.random.uniform(self.min_scale, self.max_scale))
        side = max(side, 1)

        corners = np.random.randint(
            (0, 0), (width - side + 1, height - side + 1), size=(_MAX_POSITIONS, 2)
        )
        chosen = 0
        if boxes is not None:
            windows = np.concatenate([corners, corners + side], axis=1)
            # The first position that keeps a face; the first of all if none does.
            chosen = np.argmax(centres_inside(boxes, windows).any(axis=1))
        x0, y0 = corners[chosen].tolist()
        return T.CropTransform(x0, y0, side, side, orig_w=width, orig_h=height)
