"""Sizes of images as a CSV with the columns ``image``, ``width`` and ``height``."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from typing import TextIO

from df2s2_d2.formats.annotated_image import image_name
from df2s2_d2.formats.whole_numbers import parse_whole_number

_COLUMNS = ("image", "width", "height")


def _rows(path: str | os.PathLike, file: TextIO) -> Iterator[tuple[str, dict[str, str]]]:
    """The place of each row, and its cells by their columns.

    Raises:
        ValueError: of the CSV itself, such as a cell that never ends; or that a column is missing.
    """
    reader = csv.DictReader(file)
    try:
        # None where there is not even a line.
        if not set(_COLUMNS) <= set(reader.fieldnames or ()):
            raise ValueError(f"{path}, line 1: expected the columns {','.join(_COLUMNS)}")
        for row in reader:
            yield f"{path}, line {reader.line_num}", row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: expected CSV ({error})") from None


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
        for place, row in _rows(path, file):
            image, *sides = (row[column] or "" for column in _COLUMNS)
            width, height = (parse_whole_number(side.strip()) for side in sides)
            if not (width and height):
                raise ValueError(
                    f"{place}: expected a width and a height in pixels for '{image[:80]}'; found "
                    f"'{','.join(sides)[:80]}'"
                )
            sizes[image_name(image)] = (width, height)
    return sizes
