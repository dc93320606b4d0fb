"""Image files and Pillow's images as (H, W, 3) uint8, upright."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from df2s2_d2.formats.image_header import exif_orientation
from df2s2_d2.images.errors import BrokenImageError, ImageError, MissingImageError, one_line

# Pillow warns of images from 89 million pixels on, which photographs of today reach, and refuses
# twice as many. A filter set around each call would be shared by all threads, and make warnings
# that are shown once be shown at every image.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# EXIF orientation -> what makes the image upright.
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Modes with more than 8 bits a pixel.
_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def decode_image(file: BinaryIO | os.PathLike | str, image_format: str) -> np.ndarray:
    """Decode an image, see :func:`as_pixels`.

    Args:
        file: of any format that Pillow reads; of several pictures in it the first.
        image_format: order of the channels, "BGR" or "RGB".
    """
    with Image.open(file) as image:
        return as_pixels(image, image_format)


def as_pixels(image: Image.Image, image_format: str) -> np.ndarray:
    """An image upright, by its EXIF orientation.

    16-bit images are scaled, not clipped; transparent ones are shown on white (:func:`on_white`).

    Args:
        image: in any mode of Pillow's but floats.
        image_format: order of the channels, "BGR" or "RGB".

    Returns:
        (H, W, 3) uint8, read-only.

    Raises:
        Exception: of any type, if the image is broken (:func:`naming_image`).
    """
    pixels = np.asarray(upright(image).convert("RGB"))
    return pixels[:, :, ::-1] if image_format == "BGR" else pixels


def upright(image: Image.Image) -> Image.Image:
    """Decode an image, turned by its EXIF orientation, in a mode that converts to RGB as it shows.

    Raises:
        ValueError: if its pixels are no colours of 8 or 16 bits.
    """
    # Pillow's own exif_transpose fails on broken EXIF blocks that this passes over.
    transposition = _TRANSPOSITIONS.get(exif_orientation(image))
    if transposition is not None:
        image = image.transpose(transposition)
    return _to_eight_bit_colours(image)


@contextlib.contextmanager
def naming_image(file_name: str | os.PathLike) -> Iterator[None]:
    """Whatever a broken file makes its reader stumble over becomes an ImageError that names it."""
    file_name = os.fspath(file_name)
    try:
        yield
    except FileNotFoundError:
        raise MissingImageError(f"The image {file_name} does not exist.") from None
    except Image.DecompressionBombError as error:
        raise BrokenImageError(
            f"The image {file_name} is larger than Pillow reads from unknown sources ({error}): "
            "make it smaller or cut it, or set PIL.Image.MAX_IMAGE_PIXELS higher."
        ) from error
    except Exception as error:  # Decoders raise anything.
        # What the system refuses, such as one more open file, says nothing against the image.
        is_refused = getattr(error, "errno", None) is not None or isinstance(error, MemoryError)
        raise (ImageError if is_refused else BrokenImageError)(
            f"The image {file_name} cannot be read ({reason(error)}): restore the file, or leave "
            "it out."
        ) from error


def reason(error: Exception) -> str:
    """What a decoder's error says of the image."""
    if isinstance(error, UnidentifiedImageError):
        return "it is in no format that Pillow knows"
    return one_line(error)


def _to_eight_bit_colours(image: Image.Image) -> Image.Image:
    """An image in a mode that converts to RGB without loss of what it shows."""
    if image.mode == "F":
        # Nothing says which value is white.
        raise ValueError("its pixels are floats; 8 or 16 bits are expected")
    if image.mode in _DEEP_MODES:
        return Image.fromarray(high_byte(np.asarray(image)))
    if image.mode == "LAB":
        profiles = (ImageCms.createProfile(space) for space in ("LAB", "sRGB"))
        return ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    if image.has_transparency_data:
        if image.mode == "La":  # which Pillow converts to nothing else
            image = image.convert("LA")
        return on_white(image.convert("RGBA"))
    return image


def high_byte(pixels: np.ndarray) -> np.ndarray:
    """16-bit pixels as uint8, as Pillow makes them of 16-bit colours.

    Args:
        pixels: integers of any shape, 0 to 65535.

    Raises:
        ValueError: if a value is outside.
    """
    if pixels.dtype != np.uint16 and (pixels.min() < 0 or pixels.max() > 65535):
        raise ValueError("its pixels have 32 bits; 8 or 16 bits are expected")
    return (pixels >> 8).astype(np.uint8)


def on_white(image: Image.Image) -> Image.Image:
    """An RGBA image on a white page, where cut-out pictures are made to be seen.

    Without a background the colours that transparent pixels happen to have would appear, which
    whoever made the image has never seen.

    Returns:
        An RGB image.
    """
    page = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(page, image).convert("RGB")
