"""Tiny annotations in FDDB's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np


def save_folds(directory: Path, folds: Mapping[str, Mapping[str, np.ndarray]]) -> Path:
    """Write FDDB-fold-XX.txt and FDDB-fold-XX-ellipseList.txt of each fold."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, faces in folds.items():
        (directory / f"FDDB-fold-{name}.txt").write_text("".join(f"{i}\n" for i in faces))
        lines = []
        for image, ellipses in faces.items():
            lines += [image, str(len(ellipses))]
            lines += [" ".join(map(repr, row)) + "  1" for row in np.asarray(ellipses).tolist()]
        text = "".join(f"{line}\n" for line in lines)
        (directory / f"FDDB-fold-{name}-ellipseList.txt").write_text(text)
    return directory


def save_image_sizes(path: Path, sizes: Mapping[str, tuple[int, int]]) -> Path:
    rows = [f"{image},{width},{height}\n" for image, (width, height) in sizes.items()]
    path.write_text("image,width,height\n" + "".join(rows))
    return path
