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


def sizes_inside(boxes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Tell how much of each box shows in each window.

    Args:
        boxes: (N, 4) corners x1, y1, x2, y2 in pixels.
        windows: (P, 4) corners, likewise.

    Returns:
        (P, N, 2) width and height in pixels; 0 or less where nothing shows.
    """
    start = np.maximum(boxes[:, :2], windows[:, None, :2])
    end = np.minimum(boxes[:, 2:], windows[:, None, 2:])
    return end - start


class RandomSquareCrop(T.Augmentation):
    """Random square crop as in FAN (DF²S² §3.4, "Aug." in tables 1 and 2) and in DSFD §3.4.

    The side is drawn once, continuous and uniform, so that its distribution does not depend on the
    faces. Positions are drawn uniformly until one keeps a face that is large enough; should none
    of them, a smaller face will do; should none of them either, as in images without faces always,
    the crop shows background.
    """

    decides_by_size = True

    def __init__(
        self,
        min_scale: float,
        max_scale: float,
        whole_side_prob: float = 0.0,
        min_face_size: float = 0.0,
    ) -> None:
        """
        Args:
            min_scale, max_scale: range of the side, as a share of the image's short side.
            whole_side_prob: probability that the side is the whole short side instead.
            min_face_size: a face is large enough if both its sides show at least this many pixels.

        Raises:
            ValueError: unless 0 < min_scale <= max_scale <= 1 and 0 <= whole_side_prob <= 1.
        """
        super().__init__()
        if not 0 < min_scale <= max_scale <= 1:
            raise ValueError(
                "INPUT.SQUARE_CROP: expected 0 < MIN_SCALE <= MAX_SCALE <= 1; "
                f"found {min_scale} and {max_scale}."
            )
        if not 0 <= whole_side_prob <= 1:
            raise ValueError(
                "INPUT.SQUARE_CROP.WHOLE_SIDE_PROBABILITY: expected 0 to 1; "
                f"found {whole_side_prob}."
            )
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.whole_side_prob = whole_side_prob
        self.min_face_size = min_face_size

    def get_transform(self, image: np.ndarray, boxes: np.ndarray | None) -> T.CropTransform:
        """Draw a crop.

        Args:
            image: (H, W, 3).
            boxes: (N, 4) corners of the faces in pixels; None = not known.
        """
        height, width = image.shape[:2]
        scale = np.random.uniform(self.min_scale, self.max_scale)
        if self.whole_side_prob > 0 and np.random.uniform() < self.whole_side_prob:
            scale = 1.0
        side = max(round(min(height, width) * scale), 1)

        corners = np.random.randint(
            (0, 0), (width - side + 1, height - side + 1), size=(_MAX_POSITIONS, 2)
        )
        chosen = 0
        if boxes is not None:
            windows = np.concatenate([corners, corners + side], axis=1)
            kept = centres_inside(boxes, windows)
            large_enough = (sizes_inside(boxes, windows) >= self.min_face_size).all(axis=2)
            # The first position of the best kind.
            chosen = np.argmax(kept.any(axis=1) + (kept & large_enough).any(axis=1).astype(int))
        x0, y0 = corners[chosen].tolist()
        return T.CropTransform(x0, y0, side, side, orig_w=width, orig_h=height)
