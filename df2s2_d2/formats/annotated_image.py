"""An image and its annotated faces, the same whatever file they stand in."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

# No image has as many pixels on a side; and float32, in which boxes are trained on, holds less.
MAX_COORDINATE = 1e7


class AnnotatedImage(NamedTuple):
    """An image as an annotation file has it, degenerate boxes included.

    Attributes:
        path: as it is written there, e.g. ``<event>/<image>.jpg``.
        boxes: (N, 4) float64 x, y, width, height in pixels; None where the file says of no image
            which faces it has.
        ignored: (N,) bool, boxes that are regions neither of a face nor of background.
        attributes: further values of the boxes by their names, (N,) int64 each.
        size: height and width in pixels as the file states them, if it does.
    """

    path: str
    boxes: np.ndarray | None
    ignored: np.ndarray | None = None
    attributes: Mapping[str, np.ndarray] = MappingProxyType({})
    size: tuple[int, int] | None = None


def leaves_folder(path: str, image_dir: str) -> bool:
    """Whether the path of an image leads out of the folder that it should be in.

    Links in the folder are not looked into: whoever put them there meant them.

    Args:
        path: separated by either slash, also absolute.
        image_dir: folder that ``path`` is relative to; "" for none, which no path leaves.
    """
    path = path.replace("\\", "/")
    if not image_dir or not (path.startswith("/") or ".." in path.split("/")):
        return False
    if "://" in image_dir:
        return posixpath.normpath(path).startswith(("/", ".."))
    folder = os.path.abspath(image_dir)
    place = os.path.abspath(os.path.join(folder, path))
    return os.path.commonpath([folder, place]) != folder


def image_name(path: str, image_dir: str = "") -> str:
    """The name of an image in every file of results: its path without the extension.

    Args:
        path: separated by either slash, also absolute.
        image_dir: folder that ``path`` is relative to, and an absolute one is brought below.

    Returns:
        The same for all ways to write a path: with forward slashes, without ``./``.
    """
    path = path.replace("\\", "/")
    name = posixpath.normpath(path)
    if name.startswith(("/", "../")):
        name = os.path.relpath(os.path.join(image_dir, path), image_dir).replace(os.sep, "/")
    return posixpath.splitext(name)[0]
