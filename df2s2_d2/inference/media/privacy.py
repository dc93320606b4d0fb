"""Faces made unrecognisable."""

from __future__ import annotations

import cv2
import numpy as np

from df2s2_d2.inference.media.face_regions import face_regions

# Boxes end at chin and forehead; hair, ears and an inexact box are covered too.
MARGIN = 0.2
# What is kept of a face, whatever its size: colours of so many cells a side, and how they are
# spread over it again.
CELLS = 6
_STYLES = {
    "pixelate": (CELLS, cv2.INTER_NEAREST),
    "smooth": (CELLS, cv2.INTER_LINEAR),
    "fill": (1, cv2.INTER_NEAREST),
}
STYLES = tuple(_STYLES)


def hide_faces(image: np.ndarray, boxes: np.ndarray, style: str = "pixelate") -> np.ndarray:
    """Replace faces by a few colours; the other pixels stay as they are.

    Args:
        image: (H, W, 3) uint8; it is not changed.
        boxes: (N, 4) XYXY in pixels.
        style: "pixelate" in 6 x 6 cells, "smooth" between these, or "fill" with one colour. Of
            many frames of a video more of a face may be restored than of one; only "fill" rules
            that out.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: if there is no such style, or a coordinate is not finite.
    """
    if style not in _STYLES:
        raise ValueError(f"style must be one of {', '.join(map(repr, STYLES))}, found {style!r}")
    cells, interpolation = _STYLES[style]
    hidden = image.copy()
    for x1, y1, x2, y2 in hidden_regions(boxes, image.shape[:2]).tolist():
        region = hidden[y1:y2, x1:x2]
        # Regions of fewer pixels than cells are reduced too.
        size = [max(1, min(cells, pixels // 2)) for pixels in (x2 - x1, y2 - y1)]
        few = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
        hidden[y1:y2, x1:x2] = cv2.resize(few, (x2 - x1, y2 - y1), interpolation=interpolation)
    return hidden


def hidden_regions(boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """The pixels that :func:`hide_faces` changes; see
    :func:`~df2s2_d2.inference.media.face_regions.face_regions`."""
    return face_regions(boxes, MARGIN, image_size)
