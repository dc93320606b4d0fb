"""How large images are: by their own heads, and by what annotations say of them."""

from __future__ import annotations

import os
from typing import Any

from detectron2.utils.file_io import PathManager
from PIL import Image

from df2s2_d2.data.errors import ImageSizeError
from df2s2_d2.formats.image_header import upright_size


def read_image_size(file_name: str | os.PathLike) -> tuple[int, int]:
    """Height and width of an image after EXIF rotation; only the head of the file is read.

    Raises:
        OSError: if it is no image.
    """
    with PathManager.open(os.fspath(file_name), "rb") as file:
        return upright_size(Image.open(file))


def check_image_size(record: dict[str, Any], size: tuple[int, int]) -> None:
    """Put the size of an image into its dict, and check the one that was stated there.

    Annotations often state the size that a photograph is stored in, before EXIF rotation. Boxes
    are pixels of the upright image all the same, so width and height may be the wrong way round.

    Args:
        record: dataset dict; ``height`` and ``width`` are set.
        size: (height, width) of the upright image.

    Raises:
        ImageSizeError: if the image is of another size, so that its boxes cannot fit.
    """
    stated = record.get("height", size[0]), record.get("width", size[1])
    if stated not in (size, size[::-1]):
        raise ImageSizeError(describe_mismatch(record, stated, size))
    record["height"], record["width"] = size


def describe_mismatch(
    record: dict[str, Any], stated: tuple[int, int], size: tuple[int, int]
) -> str:
    """What to say of an image whose annotations state another size (height, width) than its own."""
    return (
        f"The image {record['file_name']} has {size[1]} x {size[0]} pixels, but its annotations "
        f"state {stated[1]} x {stated[0]}: put back the image that was annotated, or scale boxes "
        "and size to this one."
    )
