"""Sizes of FDDB's images: regions are cut off at the border of the image before they overlap."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from df2s2_d2.formats.whole_numbers import parse_whole_number

_COLUMNS = ("image", "width", "height")

# Markers of JPEG segments: those that begin a frame carry its size.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA


def read_image_sizes(path: str | os.PathLike) -> dict[str, tuple[int, int]]:
    """Read image sizes from a CSV with the columns ``image,width,height``.

    Returns:
        Image -> width and height in pixels.

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
            sizes[image.removesuffix(".jpg")] = (width, height)
    return sizes


def read_image_headers(
    image_dir: str | os.PathLike, images: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Read image sizes from the heads of the JPEG files, without decoding them.

    Args:
        image_dir: the folder originalPics of the benchmark.
        images: names in it, without the extension ``.jpg``.

    Returns:
        Image -> width and height in pixels, as stored: no rotation is applied.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if a file is no JPEG.
    """
    sizes = {}
    for image in images:
        path = Path(image_dir) / f"{image}.jpg"
        with open(path, "rb") as file:
            size = _jpeg_size(file)
        if size is None:
            raise ValueError(
                f"{path} is not a readable JPEG file; fetch it again, or give the sizes as a CSV"
            )
        sizes[image] = size
    return sizes


def find_image_sizes(
    folds_dir: str | os.PathLike,
    images: Iterable[str],
    sizes_file: str | os.PathLike | None = None,
    image_dir: str | os.PathLike | None = None,
) -> dict[str, tuple[int, int]]:
    """Image sizes from a table or from image files, which may lie beside the folds.

    Args:
        folds_dir: FDDB-folds, beside which image_sizes.csv and originalPics/ are looked for if
            neither of the others is given.
        images: names of those whose sizes are needed.
        sizes_file: see :func:`read_image_sizes`.
        image_dir: see :func:`read_image_headers`.

    Returns:
        Image -> width and height in pixels.

    Raises:
        OSError, ValueError: if there are no sizes, or they cannot be read.
    """
    beside = Path(folds_dir).resolve().parent
    if sizes_file:
        return read_image_sizes(sizes_file)
    if image_dir:
        return read_image_headers(image_dir, images)
    if (beside / "image_sizes.csv").is_file():
        return read_image_sizes(beside / "image_sizes.csv")
    if (beside / "originalPics").is_dir():
        return read_image_headers(beside / "originalPics", images)
    raise ValueError(
        "image sizes are needed, as regions are cut off at the border of the image: give "
        f"--images originalPics or --image-sizes CSV (neither is in {beside})"
    )


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height in the first frame header; None if there is none before the image data."""
    if file.read(2) != b"\xff\xd8":
        return None
    while file.read(1) == b"\xff":
        marker = file.read(1)
        while marker == b"\xff":  # padding
            marker = file.read(1)
        head = file.read(2)
        if len(head) < 2 or marker[0] == _START_OF_SCAN:
            return None
        length = int.from_bytes(head, "big") - 2
        if marker[0] in _FRAME_MARKERS:
            frame = file.read(5)  # bits a sample, height, width
            height, width = (int.from_bytes(frame[k : k + 2], "big") for k in (1, 3))
            return (width, height) if width and height else None
        file.seek(length, os.SEEK_CUR)
    return None
