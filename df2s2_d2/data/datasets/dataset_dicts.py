"""Images and boxes → dataset dicts, detectron2's standard format, the same for every data set."""

from __future__ import annotations

import os
import posixpath
from typing import Any

import numpy as np
from detectron2.structures import BoxMode

from df2s2_d2.data.image_size import read_image_size

# No image has as many pixels on a side; and float32, in which boxes are trained on, holds less.
MAX_COORDINATE = 1e7


class ImageRecord(dict):
    """A dataset dict that reads ``height`` and ``width`` from the image if they are asked for.

    So data sets are read without opening images, and what needs sizes, such as detectron2's
    COCOEvaluator, works all the same. They are entries of the dict only if they were put there.
    """

    def __missing__(self, key: str) -> int:
        if key not in ("height", "width"):
            raise KeyError(key)
        height, width = read_image_size(self["file_name"])
        return height if key == "height" else width


def make_record(image_dir: str, path: str) -> ImageRecord:
    """Make the dataset dict of an image without opening it.

    Height and width are left out: the mapper takes them from the image, after EXIF rotation.

    Args:
        image_dir: folder that ``path`` is relative to.
        path: the image as its annotation file names it, e.g. ``<event>/<image>.jpg``; separated by
            either slash, also absolute.

    Returns:
        ``file_name``, and ``image_id``, which is ``path`` without its extension, the same for all
        ways to write it: relative to ``image_dir``, without ``./``.
    """
    path = path.replace("\\", "/")
    name = posixpath.normpath(path)
    if name.startswith(("/", "../")):
        name = os.path.relpath(os.path.join(image_dir, path), image_dir).replace(os.sep, "/")
    return ImageRecord(
        file_name=os.path.join(image_dir, path), image_id=posixpath.splitext(name)[0]
    )


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
