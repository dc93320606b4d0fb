"""Face boxes in COCO JSON as dataset dicts."""

from __future__ import annotations

from typing import Any

from df2s2_d2.data.datasets.dataset_dicts import make_records
from df2s2_d2.formats import coco_json


def load_coco_boxes(
    image_dir: str, json_file: str, outside_images: bool = False
) -> list[dict[str, Any]]:
    """Load face boxes from COCO JSON as dataset dicts, without opening any image.

    Args:
        image_dir: folder that ``file_name`` in the JSON is relative to.
        json_file: see :func:`~df2s2_d2.formats.coco_json.read_images`.
        outside_images: whether images may lie outside ``image_dir``.

    Returns:
        One dict an image in the file's order; ``image_id`` is ``file_name`` without its extension,
        ``height`` and ``width`` are as the file states them, if it does. Without a list of
        ``annotations`` in the file, the dicts have none either. Regions to be ignored are
        ``iscrowd``; boxes without an area are dropped.

    Raises:
        ValueError: if the file departs from the format, or an image lies outside the folder
            without leave; names the file and the place in it.
    """
    images = coco_json.read_images(json_file, image_dir)
    return make_records(image_dir, json_file, images, outside_images)
