"""An image file whose size is known before it is decoded, and of which a part can be read."""

from __future__ import annotations

import io
import os

import cv2
import numpy as np
import torch
from detectron2.utils.file_io import PathManager
from PIL import Image
from torch.nn import functional as F

from df2s2_d2.formats.image_header import exif_orientation, upright_size
from df2s2_d2.images.decoding import naming_image, upright

# Formats that can be decoded at a half, a quarter and an eighth of their size.
_SCALABLE_FORMATS = ("JPEG", "MPO")
_REDUCTIONS = (8, 4, 2)


class ImageFile:
    """An image file, upright.

    Windows of JPEG files that are shrunk are decoded at a reduced size, never below that of the
    result: the decoder then computes fewer pixels. They differ from those of a whole decoding by
    no more than another filter would make: in the mean over photographs by less than 3 of 255 grey
    levels, over a single one by less than 10. Files of other formats are decoded at once.

    Attributes:
        size: height and width in pixels after EXIF rotation.

    Args:
        file_name: any format that Pillow reads; of several pictures in a file the first.
        image_format: order of the channels, "BGR" or "RGB".
        reduced_decoding: whether windows may be decoded at a reduced size.

    Raises:
        ImageError: if the file cannot be read or is no image; names it.
    """

    def __init__(
        self, file_name: str | os.PathLike, image_format: str, reduced_decoding: bool = True
    ) -> None:
        self.image_format = image_format
        self._file_name = file_name
        self._reductions = _REDUCTIONS if reduced_decoding else ()
        self._decoded: Image.Image | None = None
        with naming_image(file_name):
            with PathManager.open(os.fspath(file_name), "rb") as file:
                self._content = file.read()
            image = Image.open(io.BytesIO(self._content))
            if image.format not in _SCALABLE_FORMATS:
                image = self._decoded = _rgb(image)
            self._stored_size = image.size
            self._is_turned = self._decoded is None and exif_orientation(image) != 1
            self.size = upright_size(image) if self._decoded is None else image.size[::-1]

    def read_window(
        self, box: tuple[float, float, float, float], size: tuple[int, int]
    ) -> np.ndarray:
        """Read a part of the image, resized with Pillow's bilinear filter in one step.

        Args:
            box: corners x1, y1, x2, y2 inside the image, in its pixels; fractions are exact.
            size: height and width of the result.

        Returns:
            (height, width, 3) uint8 that may be changed.

        Raises:
            ImageError: if the image cannot be decoded; names it.
        """
        reduction = self.reduction(box, size)
        pixels = resized_window(self.decode(reduction), tuple(x / reduction for x in box), size)
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if self.image_format == "BGR" else pixels

    def reduction(self, box: tuple[float, float, float, float], size: tuple[int, int]) -> int:
        """By how much the decoded image may be smaller for a window that is not to be enlarged.

        Args:
            box, size: as those of :meth:`read_window`.

        Returns:
            1, 2, 4 or 8.
        """
        left, top, right, bottom = box
        if self._decoded is not None:
            return 1
        for reduction in self._reductions:
            # The decoder rounds sizes up: seen from the end of a side, which turning makes the
            # start, pixels would lie elsewhere.
            fits = not self._is_turned or all(x % reduction == 0 for x in self._stored_size)
            is_large = bottom - top >= reduction * size[0] and right - left >= reduction * size[1]
            if fits and is_large:
                return reduction
        return 1

    def decode(self, reduction: int) -> Image.Image:
        """The image in mode RGB, with sides of 1 / reduction, rounded up, of the whole ones.

        Raises:
            ImageError: if it cannot be decoded; names it.
        """
        if self._decoded is not None:
            return self._decoded
        with naming_image(self._file_name):
            image = Image.open(io.BytesIO(self._content))
            if reduction > 1:
                # Pillow decodes to the smallest size that is not below this one.
                image.draft("RGB", tuple(max(1, x // reduction) for x in self._stored_size))
            return _rgb(image)


def _rgb(image: Image.Image) -> Image.Image:
    image = upright(image)
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def resized_window(
    image: Image.Image, box: tuple[float, float, float, float], size: tuple[int, int]
) -> np.ndarray:
    """A part of an RGB image, resized with Pillow's bilinear filter in one step.

    Args:
        image: of mode RGB.
        box: corners x1, y1, x2, y2 inside the image, in its pixels; fractions are exact.
        size: height and width of the result.

    Returns:
        (height, width, 3) uint8 that may be changed.
    """
    if not all(float(corner).is_integer() for corner in box):
        return np.array(image.resize(size[::-1], Image.Resampling.BILINEAR, box=box))
    # Windows of whole pixels take less time elsewhere: where all is enlarged, OpenCV's bilinear
    # filter is Pillow's up to rounding; where a side shrinks, it would alias, and torch's is.
    pixels = np.array(image.crop(tuple(map(int, box))))
    if pixels.shape[:2] == size:
        return pixels
    if size[0] >= pixels.shape[0] and size[1] >= pixels.shape[1]:
        return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)
    resized = F.interpolate(planes[None], size, mode="bilinear", antialias=True)[0]
    return cv2.merge([plane.numpy() for plane in resized])
