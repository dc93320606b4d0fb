"""Reads every image once: its size, whether it can be decoded, and what it looks like in small."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from df2s2_d2.data.datasets.image_files import missing_files
from df2s2_d2.data.errors import ImageError
from df2s2_d2.data.image_file import ImageFile
from df2s2_d2.data.image_reading import naming_image
from df2s2_d2.data.image_size import read_image_size

# Pixels of a thumbnail on each side.
THUMBNAIL_SIDE = 32

# Images that wait for a thread: results are small, but files are held while they are read.
_AHEAD = 64


@dataclass(frozen=True)
class ImageScan:
    """What the files of I images are.

    Attributes:
        sizes: (I, 2) float64, height and width upright; nan where the image cannot be read.
        is_missing: (I,) bool, files that do not exist.
        faults: why an image that exists cannot be read, by its number.
        thumbnails: (I, 32, 32) uint8 grey, of the whole image whatever its shape; 0 where it cannot
            be read. None if only the heads of the files were read.
    """

    sizes: np.ndarray
    is_missing: np.ndarray
    faults: dict[int, str]
    thumbnails: np.ndarray | None

    @property
    def is_readable(self) -> np.ndarray:
        """(I,) bool."""
        return ~np.isnan(self.sizes[:, 0])


def scan_images(file_names: Sequence[str], headers_only: bool = False) -> ImageScan:
    """Read images as a training reads them, on all cores.

    Args:
        file_names: of the images.
        headers_only: whether sizes are enough; images that are cut short are then not found.
    """
    absent = set(missing_files(file_names))
    is_missing = np.array([name in absent for name in file_names], bool)
    sizes = np.full((len(file_names), 2), np.nan)
    side = THUMBNAIL_SIDE
    thumbnails = None if headers_only else np.zeros((len(file_names), side, side), np.uint8)
    faults = {}
    numbers = np.flatnonzero(~is_missing).tolist()
    look = _look_at_head if headers_only else _look_at
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        progress = tqdm(total=len(numbers), desc="Reading images", unit="image", disable=None)
        for start in range(0, len(numbers), _AHEAD):
            chunk = numbers[start : start + _AHEAD]
            for number, seen in zip(
                chunk, threads.map(look, [file_names[k] for k in chunk]), strict=True
            ):
                if isinstance(seen, str):
                    faults[number] = seen
                    continue
                sizes[number], thumbnail = seen
                if thumbnails is not None:
                    thumbnails[number] = thumbnail
            progress.update(len(chunk))
        progress.close()
    return ImageScan(sizes, is_missing, faults, thumbnails)


def _look_at_head(file_name: str) -> tuple[tuple[int, int], None] | str:
    try:
        with naming_image(file_name):
            return read_image_size(file_name), None
    except ImageError as error:
        return str(error)


def _look_at(file_name: str) -> tuple[tuple[int, int], np.ndarray] | str:
    """Size and thumbnail of an image, or what is wrong with it."""
    try:
        file = ImageFile(file_name, "RGB")
        height, width = file.size
        small = file.read_window((0, 0, width, height), (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    except ImageError as error:
        return str(error)
    return file.size, cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
