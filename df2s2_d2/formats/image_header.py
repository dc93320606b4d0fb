"""How large an image file is, by its head: nothing is decoded."""

from __future__ import annotations

import os
import struct

from PIL import ExifTags, Image

# EXIF orientations of a camera held on its side.
_SIDEWAYS = (5, 6, 7, 8)


def read_image_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width of an image file as it is seen, after EXIF rotation.

    Raises:
        OSError: if it is absent or no image; names it.
    """
    with _open(path) as image:
        return upright_size(image)


def read_stored_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width of an image file as its pixels are stored, without EXIF rotation.

    Raises:
        OSError: if it is absent or no image; names it.
    """
    with _open(path) as image:
        return image.size[::-1]


def _open(path: str | os.PathLike) -> Image.Image:
    try:
        return Image.open(path)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    # Broken heads make Pillow stumble in many ways; images beyond its limit it refuses to decode.
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise OSError(f"{os.fspath(path)} is no image that can be read ({error})") from error


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width after EXIF rotation of an image that need not be decoded yet."""
    width, height = image.size
    return (width, height) if exif_orientation(image) in _SIDEWAYS else (height, width)


def exif_orientation(image: Image.Image) -> int:
    """1 to 8, as EXIF counts; 1 = upright, also where the block is broken or says nonsense."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of many types, on broken EXIF blocks; pixels are read without them
        return 1
    return orientation if orientation in range(1, 9) else 1
