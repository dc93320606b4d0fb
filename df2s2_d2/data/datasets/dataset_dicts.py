"""Images and boxes → dataset dicts, detectron2's standard format, the same for every data set."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from detectron2.structures import BoxMode

from df2s2_d2.data.image_size import read_image_size
from df2s2_d2.formats.annotated_image import AnnotatedImage, image_name, leaves_folder

logger = logging.getLogger(__name__)


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
        ``file_name``, and ``image_id``, see :func:`~df2s2_d2.formats.annotated_image.image_name`.
    """
    file_name = os.path.join(image_dir, path.replace("\\", "/"))
    return ImageRecord(file_name=file_name, image_id=image_name(path, image_dir))


def check_inside(
    image_dir: str, paths: Iterable[str], place: str, outside_images: bool = False
) -> None:
    """Check that no image of a data set lies outside its folder: annotations may be a stranger's.

    Args:
        image_dir: folder that the paths are relative to.
        paths: of images.
        place: where they stand, for messages.
        outside_images: whether they may lie anywhere.

    Raises:
        ValueError: naming the place and the first that lies elsewhere.
    """
    outside = next((path for path in paths if leaves_folder(path, image_dir)), None)
    if outside is not None and not outside_images:
        raise ValueError(
            f"{place} names the image {outside[:200]!r} outside the folder {image_dir}: give the "
            "folder that holds all images, or, if you trust the file, outside_images=True to "
            "register_wider_face"
        )


def make_annotations(
    boxes: np.ndarray, ignored: np.ndarray, attributes: Mapping[str, np.ndarray] | None = None
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


def make_records(
    image_dir: str,
    annotation_file: str,
    images: Sequence[AnnotatedImage],
    outside_images: bool = False,
) -> list[dict[str, Any]]:
    """Make the dataset dicts of a file's images without opening any.

    Args:
        image_dir: folder that the images' paths are relative to.
        annotation_file: where they stand, for the log.
        images: what the file holds.
        outside_images: whether they may lie outside the folder.

    Returns:
        One dict an image in the given order; ``height`` and ``width`` as the file states them, if
        it does. Where it says of no image which faces it has, the dicts have no ``annotations``.

    Raises:
        ValueError: if an image lies outside the folder without leave.
    """
    check_inside(image_dir, (image.path for image in images), annotation_file, outside_images)
    records = []
    num_boxes = num_kept = 0
    for image in images:
        record = make_record(image_dir, image.path)
        if image.size:
            record.update(zip(("height", "width"), image.size, strict=True))
        if image.boxes is not None:
            record["annotations"] = make_annotations(image.boxes, image.ignored, image.attributes)
            num_boxes += len(image.boxes)
            num_kept += len(record["annotations"])
        records.append(record)
    if any("annotations" in record for record in records):
        logger.info(
            "%s: %d images, %d boxes; dropped %d more without an area.",
            annotation_file,
            len(records),
            num_kept,
            num_boxes - num_kept,
        )
    return records
