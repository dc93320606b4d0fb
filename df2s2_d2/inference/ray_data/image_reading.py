"""Images from anywhere that fsspec reaches, fetched and decoded ahead of who asks for them."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import fsspec
import numpy as np
from PIL import Image

from df2s2_d2.images.decoding import decode_image, naming_image
from df2s2_d2.images.errors import ImageError
from df2s2_d2.inference.media.frame_search import MOST_BYTES, THREADS
from df2s2_d2.inference.media.look_ahead import map_ahead

# A path or address, and the content of the file or why it could not be had.
Encoded: TypeAlias = tuple[str, bytes | ImageError]
# Likewise, with (H, W, 3) uint8 RGB, upright.
Decoded: TypeAlias = tuple[str, np.ndarray | ImageError]

# Files that are on their way at once: most of that time nothing but the other side works.
_FETCHES = 16


def fetch_images(paths: Iterable[str], root: str) -> Iterator[Encoded]:
    """Read files in order, a bounded number of them ahead.

    Args:
        paths: paths and addresses.
        root: folder that paths are relative to.

    Raises:
        ImportError: if a package is missing without which no address of its kind can be read.
    """
    return map_ahead(lambda path: _fetch(path, root), paths, workers=_FETCHES, ahead=_FETCHES)


def decode_images(encoded: Iterable[Encoded], ahead: int) -> Iterator[Decoded]:
    """Decode files in order, ahead by a bounded number of images and of bytes.

    Args:
        encoded: of :func:`fetch_images`.
        ahead: most images that wait.
    """
    return map_ahead(
        _decode,
        encoded,
        workers=THREADS,
        ahead=ahead,
        cost=_decoded_bytes,
        max_cost=MOST_BYTES,
    )


def _fetch(path: str, root: str) -> Encoded:
    try:
        with naming_image(path):
            return path, _content(path, root)
    except ImageError as error:
        if isinstance(error.__cause__, ImportError):
            raise error.__cause__ from None
        return path, error


def _content(path: str, root: str) -> bytes:
    if "://" in path:
        fs, place = fsspec.core.url_to_fs(path)
        return fs.cat_file(place)
    with open(os.path.join(root, path), "rb") as file:
        return file.read()


def _decode(encoded: Encoded) -> Decoded:
    path, content = encoded
    if isinstance(content, ImageError):
        return path, content
    try:
        with naming_image(path):
            return path, decode_image(io.BytesIO(content), "RGB")
    except ImageError as error:
        return path, error


def _decoded_bytes(encoded: Encoded) -> int:
    """Bytes that an image takes once it is decoded, by its header; 0 if that is unreadable."""
    content = encoded[1]
    with contextlib.suppress(Exception):  # Whatever it is, decoding will tell.
        with Image.open(io.BytesIO(content)) as image:
            return 3 * image.width * image.height
    return 0
