"""Sizes of images as a CSV with the columns ``image``, ``width`` and ``height``."""

from __future__ import annotations

import csv
import os

from df2s2_d2.formats.annotated_image import image_name
from df2s2_d2.formats.whole_numbers import parse_whole_number

_COLUMNS = ("image", "width", "height")


def read_image_sizes(path: str | os.PathLike) -> dict[str, tuple[int, int]]:
    """Read image sizes; other columns are passed over.

    Returns:
        Name of the image, its path without the extension -> width and height in pixels.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it departs from the format; the message names file and line.
    """
    sizes = {}
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        if not set(_COLUMNS) <= set(reader.fieldnames or ()):
            raise ValueError(f"{path}, line 1: expected the columns {','.join(_COLUMNS)}")
        for row in reader:
            image, *sides = (row[column] or "" for column in _COLUMNS)
            width, height = (parse_whole_number(side.strip()) for side in sides)
            if not (width and height):
                raise ValueError(
                    f"{path}, line {reader.line_num}: expected a width and a height in pixels for "
                    f"'{image[:80]}'; found '{','.join(sides)[:80]}'"
                )
            sizes[image_name(image)] = (width, height)
    return sizes
