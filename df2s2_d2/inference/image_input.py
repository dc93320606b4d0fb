"""Whatever shows an image as (H, W, 3) uint8."""

from __future__ import annotations

import os
from typing import TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from df2s2_d2.data.image_reading import read_image
from df2s2_d2.images.decoding import high_byte, on_white

ImageLike: TypeAlias = str | os.PathLike | np.ndarray | Tensor


def as_image(image: ImageLike, array_format: str, image_format: str) -> np.ndarray:
    """Read or convert an image.

    Args:
        image: path of an image file; or an array (H, W), (H, W, 1), (H, W, 3) or, with opacity
            last, (H, W, 4); or a tensor (1, H, W) or (3, H, W). Pixels are uint8, uint16
            (scaled to 8 bits), or other numbers from 0 to 255, which are rounded.
        array_format: order of the channels of arrays and tensors, "BGR" or "RGB".
        image_format: order of the channels that is wanted.

    Returns:
        (H, W, 3) uint8, possibly a view of what was given.

    Raises:
        OSError: if a file cannot be read; names it.
        ValueError: if an array or a tensor is not an image; says what is expected.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(image, image_format)
    pixels = _three_channels(_eight_bit(_channels_last(image)))
    return pixels if array_format == image_format else pixels[:, :, ::-1]


def _channels_last(image: np.ndarray | Tensor) -> np.ndarray:
    """(H, W, 1), (H, W, 3) or (H, W, 4) of any type."""
    if isinstance(image, Tensor):
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
            f"expected a path, a NumPy array or a torch tensor, found {type(image).__name__}"
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
