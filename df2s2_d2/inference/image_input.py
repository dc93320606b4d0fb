"""Whatever shows an image as (H, W, 3) uint8."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, Union

import numpy as np
from PIL import Image

from df2s2_d2.images.decoding import (
    as_pixels,
    decode_image,
    high_byte,
    naming_image,
    on_white,
    reason,
)

# Images are read where ONNX Runtime looks for faces, without torch.
if TYPE_CHECKING:
    from torch import Tensor

Encoded: TypeAlias = bytes | bytearray | memoryview | BinaryIO
ImageLike: TypeAlias = Union[
    str, os.PathLike, np.ndarray, Image.Image, bytes, bytearray, memoryview, BinaryIO, "Tensor"
]


def is_image(value: object) -> bool:
    """Whether a value is of a type that is one image, not several."""
    return (
        isinstance(value, (str, os.PathLike, np.ndarray, Image.Image))
        or _is_encoded(value)
        or _is_tensor(value)
    )


def as_image(image: ImageLike, array_format: str, image_format: str) -> np.ndarray:
    """Read or convert an image.

    Args:
        image: path of an image file; its bytes, or a binary file that is open; one of Pillow's; an
            array (H, W), (H, W, 1), (H, W, 3) or, with opacity last, (H, W, 4); or a tensor
            (1, H, W) or (3, H, W). Files and Pillow's images are turned upright by their EXIF
            orientation. Pixels are uint8, uint16 (scaled to 8 bits), or other numbers from 0 to
            255, which are rounded.
        array_format: order of the channels of arrays and tensors, "BGR" or "RGB".
        image_format: order of the channels that is wanted.

    Returns:
        (H, W, 3) uint8, possibly a view of what was given.

    Raises:
        OSError: if a file cannot be read; names it.
        ValueError: if anything else is not an image; says what is expected.
    """
    if isinstance(image, (str, os.PathLike)):
        if os.fspath(image).startswith(("http://", "https://")):
            raise ValueError(
                f"expected a path, found the address {image}: nothing is downloaded here; give the "
                "bytes that lie there"
            )
        return read_file(image, image_format)
    if isinstance(image, Image.Image):
        return _shown(image, image_format)
    if _is_encoded(image):
        return _decoded(image, image_format)
    pixels = _three_channels(_eight_bit(_channels_last(image)))
    return pixels if array_format == image_format else pixels[:, :, ::-1]


def read_file(path: str | os.PathLike, image_format: str) -> np.ndarray:
    """Read an image file upright, see :func:`~df2s2_d2.images.decoding.as_pixels`.

    Args:
        path: of a file; addresses with ``://`` are opened by detectron2's PathManager.
        image_format: order of the channels, "BGR" or "RGB".

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: if the image cannot be read; names it.
    """
    with naming_image(path), _open(path) as file:
        return decode_image(file, image_format)


def _open(path: str | os.PathLike) -> BinaryIO:
    if "://" not in os.fspath(path):
        return open(path, "rb")
    from detectron2.utils.file_io import PathManager

    return PathManager.open(os.fspath(path), "rb")


def _is_encoded(value: object) -> bool:
    # Files of any make, such as a web server's, have no class in common.
    return isinstance(value, (bytes, bytearray, memoryview)) or (
        callable(getattr(value, "read", None)) and callable(getattr(value, "seek", None))
    )


def _is_tensor(value: object) -> bool:
    """Whether a value is a torch tensor: there is none where torch is not loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _shown(image: Image.Image, image_format: str) -> np.ndarray:
    if 0 in image.size:
        raise ValueError(f"expected at least one pixel, found {image.width} x {image.height}")
    try:
        return as_pixels(image, image_format)
    except Exception as error:  # Decoders raise anything, if the image is still to be decoded.
        raise ValueError(f"the PIL image cannot be used ({reason(error)})") from error


def _decoded(image: Encoded, image_format: str) -> np.ndarray:
    if isinstance(image, (bytes, bytearray, memoryview)):
        what, file = f"{memoryview(image).nbytes:,} bytes", io.BytesIO(image)
    else:
        what, file = f"the file {getattr(image, 'name', type(image).__name__)}", image
    try:
        return decode_image(file, image_format)
    except Exception as error:  # Decoders raise anything.
        raise ValueError(
            f"expected an encoded image such as a JPEG, found {what} that cannot be decoded "
            f"({reason(error)})"
        ) from error


def _channels_last(image: np.ndarray | Tensor) -> np.ndarray:
    """(H, W, 1), (H, W, 3) or (H, W, 4) of any type."""
    if _is_tensor(image):
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(
                f"expected a tensor of shape (3, H, W) or (1, H, W), found {tuple(image.shape)}"
            )
        # NumPy has no bfloat16.
        image = image.detach().float() if image.is_floating_point() else image
        pixels = image.permute(1, 2, 0).cpu().numpy()
    elif isinstance(image, np.ndarray):
        pixels = image[:, :, None] if image.ndim == 2 else image
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
            raise ValueError(
                "expected an array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), found "
                f"{image.shape}"
            )
    else:
        raise ValueError(
            "expected a path, encoded bytes, a PIL image, a NumPy array or a torch tensor, found "
            f"{type(image).__name__}"
        )
    if pixels.size == 0:
        raise ValueError(f"expected at least one pixel, found shape {tuple(image.shape)}")
    return pixels


def _eight_bit(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return high_byte(pixels)
    if pixels.dtype.kind not in "iuf":
        raise ValueError(f"expected pixels from 0 to 255, found {pixels.dtype}")
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 255):  # NaN is neither
        raise ValueError(f"expected pixels from 0 to 255, found {low:g} to {high:g}")
    if pixels.dtype.kind == "f" and 0 < high <= 1:
        raise ValueError(
            f"expected pixels from 0 to 255, found none above {high:g}: if they go from 0 to 1, "
            "multiply them by 255"
        )
    return pixels.round().astype(np.uint8)


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    if pixels.shape[2] == 1:
        return pixels.repeat(3, axis=2)
    if pixels.shape[2] == 4:
        # On white, the order of the colours does not matter.
        return np.asarray(on_white(Image.fromarray(np.ascontiguousarray(pixels))))
    return pixels
