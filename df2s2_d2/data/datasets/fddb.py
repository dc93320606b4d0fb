"""FDDB's annotations as dataset dicts: faces are ellipses, given with the boxes around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from df2s2_d2.data.datasets.dataset_dicts import check_inside, make_annotations, make_record
from df2s2_d2.formats.fddb_folds import load_folds


def load_fddb(image_dir: str, folds_dir: str) -> list[dict[str, Any]]:
    """Load FDDB, or data annotated like it, as dataset dicts, without opening any image.

    Args:
        image_dir: folder that the image names in the folds are relative to; images end in ``.jpg``.
        folds_dir: folder of ``FDDB-fold-XX-ellipseList.txt``.

    Returns:
        One dict an image, fold by fold: ``file_name``, ``image_id`` (the name in the folds),
        ``fold`` (``"XX"``) and ``annotations``, each of which has the box around the face and its
        ``ellipse``: major radius, minor radius, angle, centre x, centre y in pixels and radians.

    Raises:
        FileNotFoundError: if there are no such files.
        ValueError: if a file departs from the format, or an image lies outside the folder.
    """
    records = []
    for fold, images in load_folds(folds_dir).items():
        check_inside(image_dir, images, f"{folds_dir}, fold {fold},")
        for image, ellipses in images.items():
            record = make_record(image_dir, f"{image}.jpg")
            record["fold"] = fold
            boxes = circumscribed_boxes(ellipses)
            record["annotations"] = make_annotations(boxes, np.zeros(len(boxes), dtype=bool))
            for face, ellipse in zip(record["annotations"], ellipses.tolist(), strict=True):
                face["ellipse"] = ellipse
            records.append(record)
    return records


def circumscribed_boxes(ellipses: np.ndarray) -> np.ndarray:
    """The smallest upright boxes that hold the ellipses; they may reach over the image's border.

    Args:
        ellipses: (N, 5) major radius, minor radius, angle, centre x, centre y in pixels and
            radians.

    Returns:
        (N, 4) x, y, width, height in pixels.
    """
    major, minor, angle, x, y = ellipses.T
    half_width = np.hypot(major * np.cos(angle), minor * np.sin(angle))
    half_height = np.hypot(major * np.sin(angle), minor * np.cos(angle))
    return np.stack((x - half_width, y - half_height, 2 * half_width, 2 * half_height), axis=1)
