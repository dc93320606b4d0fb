"""WIDER FACE's annotations, and those of one's own in the same format, as dataset dicts."""

from __future__ import annotations

from typing import Any

from df2s2_d2.data.datasets.dataset_dicts import make_records
from df2s2_d2.formats import wider_face_text


def load_wider_face(
    image_dir: str, annotation_file: str, outside_images: bool = False
) -> list[dict[str, Any]]:
    """Load a data set in WIDER FACE's format as dataset dicts, without opening any image.

    A file without any line of numbers is a file list, whose images have no ``annotations``.

    Args:
        image_dir: folder that the paths in the file are relative to.
        annotation_file: annotation file or file list.
        outside_images: whether images may lie outside ``image_dir``.

    Returns:
        One dict an image: ``file_name``, ``image_id`` (``<event>/<image>``) and ``annotations``.
        Boxes marked invalid are ``iscrowd``; boxes without an area are dropped.

    Raises:
        ValueError: if the file departs from the format, or an image lies outside the folder
            without leave.
    """
    images = wider_face_text.read_images(annotation_file)
    return make_records(image_dir, annotation_file, images, outside_images)
