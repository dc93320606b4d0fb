"""Frames: images as they are read from files, videos and cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from df2s2_d2.inference.image_input import read_file
from df2s2_d2.inference.media.sources import Source


@dataclass(frozen=True)
class Frame:
    """An image, upright.

    Attributes:
        source: what it is of.
        image: (H, W, 3) uint8 RGB.
        index: its place in the video, from 0; None for an image.
        time: seconds since the beginning of the video; None for an image.
    """

    source: Source
    image: np.ndarray
    index: int | None = None
    time: float | None = None

    def __str__(self) -> str:
        return f"{self.source.path}" + ("" if self.index is None else f", frame {self.index}")


def read_frame(source: Source) -> Frame:
    """Read an image file.

    Raises:
        OSError: if it cannot be read; names it.
    """
    return Frame(source, read_file(source.path, "RGB"))


def image_bytes(source: Source) -> int:
    """Bytes that an image file takes once it is read, by its header; 0 if that is unreadable."""
    try:
        with Image.open(source.path) as image:
            return 3 * image.width * image.height
    except Exception:  # Whatever it is, reading the file will raise and name it.
        return 0
