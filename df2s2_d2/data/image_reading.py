"""Image files as (H, W, 3) uint8, upright."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator

import numpy as np
from detectron2.data.detection_utils import _apply_exif_orientation, convert_PIL_to_numpy
from detectron2.utils.file_io import PathManager
from PIL import Image, UnidentifiedImageError

from df2s2_d2.data.errors import BrokenImageError, ImageError, MissingImageError

# Pillow warns of images from 89 million pixels on, which photographs of today reach, and refuses
# twice as many. A filter set around each call would be shared by all threads, and make warnings
# that are shown once be shown at every image.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# Modes with more than 8 bits a pixel.
_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def read_image(file_name: str | os.PathLike, image_format: str) -> np.ndarray:
    """Read an image upright, by its EXIF orientation.

    16-bit images are scaled, not clipped; transparent ones are shown on white (:func:`on_white`).
    All others are as detectron2 reads them.

    Args:
        file_name: any format that Pillow reads; of several pictures in a file the first.
        image_format: order of the channels, "BGR" or "RGB".

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: if the image cannot be read; names it.
    """
    with naming_image(file_name), PathManager.open(os.fspath(file_name), "rb") as file:
        return convert_PIL_to_numpy(upright(Image.open(file)), image_format)


def upright(image: Image.Image) -> Image.Image:
    """Decode an image, turned by its EXIF orientation, in a mode that converts to RGB as it shows.

    Raises:
        ValueError: if its pixels are no colours of 8 or 16 bits.
    """
    # Pillow's own exif_transpose fails on broken EXIF blocks that this passes over.
    return _to_eight_bit_colours(_apply_exif_orientation(image))


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
        is_unknown = isinstance(error, UnidentifiedImageError)
        reason = "it is in no format that Pillow knows" if is_unknown else error
        # What the system refuses, such as one more open file, says nothing against the image.
        is_refused = getattr(error, "errno", None) is not None or isinstance(error, MemoryError)
        raise (ImageError if is_refused else BrokenImageError)(
            f"The image {file_name} cannot be read ({reason}): restore the file, or leave it out."
        ) from error


def _to_eight_bit_colours(image: Image.Image) -> Image.Image:
    """An image in a mode that converts to RGB without loss of what it shows."""
    if image.mode == "F":
        # Nothing says which value is white.
        raise ValueError("its pixels are floats; 8 or 16 bits are expected")
    if image.mode in _DEEP_MODES:
        return Image.fromarray(high_byte(np.asarray(image)))
    if image.has_transparency_data:
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
