"""Image files of data sets as (H, W, 3) uint8, upright."""

from __future__ import annotations

import os

import numpy as np
from detectron2.utils.file_io import PathManager

from df2s2_d2.images.decoding import decode_image, naming_image


def read_image(file_name: str | os.PathLike, image_format: str) -> np.ndarray:
    """Read an image, see :func:`~df2s2_d2.images.decoding.as_pixels`.

    Ordinary images are as detectron2 reads them.

    Args:
        file_name: any format that Pillow reads; of several pictures in a file the first.
        image_format: order of the channels, "BGR" or "RGB".

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: if the image cannot be read; names it.
    """
    with naming_image(file_name), PathManager.open(os.fspath(file_name), "rb") as file:
        return decode_image(file, image_format)
