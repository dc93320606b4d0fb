"""Boxes of faces -> the pixels of an image that they cover, with a margin around them."""

from __future__ import annotations

import numpy as np


def face_regions(boxes: np.ndarray, margin: float, image_size: tuple[int, int]) -> np.ndarray:
    """Enlarge boxes, round them outward and clip them to the image.

    Args:
        boxes: (N, 4) XYXY in pixels.
        margin: added on each side, as a share of the box's width or height.
        image_size: height and width.

    Returns:
        (M, 4) int64 first column, first row, and those after the last; boxes outside of the image
        are left out.

    Raises:
        ValueError: if a coordinate is not finite.
    """
    if not np.isfinite(boxes).all():
        raise ValueError("A face has a box that is not finite: the detector is broken")
    added = np.tile(margin * (boxes[:, 2:] - boxes[:, :2]), 2) * (-1, -1, 1, 1)
    enlarged = boxes + added
    height, width = image_size
    regions = np.concatenate([np.floor(enlarged[:, :2]), np.ceil(enlarged[:, 2:])], axis=1)
    regions = regions.clip(0, (width, height, width, height)).astype(np.int64)
    return regions[(regions[:, 2:] > regions[:, :2]).all(axis=1)]


def crop_faces(image: np.ndarray, boxes: np.ndarray, margin: float) -> list[np.ndarray]:
    """Cut faces out of an image.

    Args:
        image: (H, W, 3).
        boxes: (N, 4) XYXY in pixels.
        margin: see :func:`face_regions`.

    Returns:
        (h, w, 3) views of the image, one a box that is not outside of it.
    """
    regions = face_regions(boxes, margin, image.shape[:2]).tolist()
    return [image[y1:y2, x1:x2] for x1, y1, x2, y2 in regions]
