"""The images of a benchmark, by the names that its ground truth gives them."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

_SUFFIXES = (".jpg", ".jpeg", ".png")


def read_benchmark_image(image_dir: str | os.PathLike, name: str) -> np.ndarray:
    """Read an image.

    Args:
        image_dir: folder of ``<event>/<image>.jpg`` (or .jpeg, .png).
        name: ``"<event>/<image stem>"``.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: if the image is missing.
        ValueError: if it cannot be read.
    """
    candidates = [Path(image_dir) / f"{name}{suffix}" for suffix in _SUFFIXES]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{candidates[0]} not found: give the folder that holds <event>/<image>.jpg"
        )
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is no readable image; fetch it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
