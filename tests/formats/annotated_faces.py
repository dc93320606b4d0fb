"""Annotated images with all that annotations may hold, and their image files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from df2s2_d2.formats.annotated_image import FACE_ATTRIBUTES, AnnotatedImage

_ROWS = {
    # x y width height, ignored, attributes
    "0--Parade/a.jpg": [
        ([10, 20, 30, 40], False, [2, 1, 0, 1, 0]),
        ([1.25, 2, 0.125, 5], True, [0, 0, 1, 2, 1]),
        ([-3, 4, 8.5, 9], False, [0, 0, 0, 0, 0]),  # over the border
    ],
    "1--Hand shaking/b b.jpg": [],
    "c.v2.png": [([0, 0, 200, 100], False, [1, 1, 1, 1, 1])],  # the whole image
    "人/ünder/d.jpg": [([33.3, 44.4, 5.5, 6.6], False, [0, 0, 0, 0, 0])],
}
_SIZE = (100, 200)


def annotated_images() -> dict[str, AnnotatedImage]:
    """By path, in order of names."""
    images = {}
    for path, rows in _ROWS.items():
        boxes = np.array([row[0] for row in rows], np.float64).reshape(-1, 4)
        ignored = np.array([row[1] for row in rows], bool)
        labels = np.array([row[2] for row in rows], np.int64).reshape(-1, len(FACE_ATTRIBUTES))
        attributes = dict(zip(FACE_ATTRIBUTES, labels.T, strict=True))
        images[path] = AnnotatedImage(path, boxes, ignored, attributes, _SIZE)
    return images


def write_image_files(folder: Path) -> Path:
    """The images below a folder."""
    for path in _ROWS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("1", _SIZE[::-1]).save(folder / path, "png")
    return folder
