"""Data sets with planted faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from df2s2_d2.dataset_check.annotated_dataset import AnnotatedDataset
from df2s2_d2.formats.annotated_image import AnnotatedImage


def photograph(seed: int, width: int = 160, height: int = 120) -> np.ndarray:
    """(height, width, 3) uint8, smooth and different for every seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_images(folder: Path, images: Mapping[str, np.ndarray]) -> None:
    for name, image in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / name), image)


def write_wider_face(path: Path, faces: Mapping[str, Sequence[Sequence[float]]]) -> Path:
    """Image -> rows of x y w h, or of all ten columns."""
    lines = []
    for image, rows in faces.items():
        lines += [image, str(len(rows)), *(" ".join(f"{v:g}" for v in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def one_image(boxes, ignored=None) -> AnnotatedDataset:
    """A data set of one image with these boxes."""
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    ignored = np.zeros(len(boxes), bool) if ignored is None else np.array(ignored, bool)
    return AnnotatedDataset(
        "d", "d.txt", "", [AnnotatedImage("e/a.jpg", boxes, ignored)], "{place}"
    )
