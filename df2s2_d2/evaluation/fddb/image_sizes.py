"""Sizes of FDDB's images: regions are cut off at the border of the image before they overlap."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from df2s2_d2.formats.image_header import read_stored_size
from df2s2_d2.formats.image_size_table import read_image_sizes


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
        ValueError: if a file is no image that can be read.
    """
    sizes = {}
    for image in images:
        path = Path(image_dir) / f"{image}.jpg"
        try:
            height, width = read_stored_size(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ValueError(f"{error}; fetch it again, or give the sizes as a CSV") from error
        sizes[image] = (width, height)
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
