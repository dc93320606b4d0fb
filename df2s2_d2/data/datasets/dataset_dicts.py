"""Images and boxes → dataset dicts, detectron2's standard format, the same for every data set."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from detectron2.structures import BoxMode


def make_record(image_dir: str, path: str) -> dict[str, Any]:
    """Make the dataset dict of an image without opening it.

    Height and width are left out: the mapper takes them from the image, after EXIF rotation.

    Args:
        image_dir: folder that ``path`` is relative to.
        path: the image as its annotation file names it, e.g. ``<event>/<image>.jpg``.

    Returns:
        ``file_name``, and ``image_id``, which is ``path`` without its extension.
    """
    return {"file_name": os.path.join(image_dir, path), "image_id": os.path.splitext(path)[0]}


def make_annotations(
    boxes: np.ndarray, ignored: np.ndarray, attributes: dict[str, np.ndarray] | None = None
) -> list[dict[str, Any]]:
    """Make the annotations of an image; boxes without an area (trap of every matcher) are dropped.

    Args:
        boxes: (N, 4) x, y, width, height in pixels of the image.
        ignored: (N,) bool, regions that are neither face nor background: ``iscrowd`` = 1.
        attributes: further values of the boxes, (N,) int64 each, kept under their names.

    Returns:
        At most N annotations of category 0 (face) with corners as boxes, in the given order.
    """
    has_area = (boxes[:, 2:] > 0).all(axis=1)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)[has_area]
    columns = {"iscrowd": ignored.astype(np.int64), **(attributes or {})}
    rows = np.stack(list(columns.values()), axis=1)[has_area]
    return [
        {
            "bbox": box,
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": 0,
            **dict(zip(columns, row, strict=True)),
        }
        for box, row in zip(corners.tolist(), rows.tolist(), strict=True)
    ]
