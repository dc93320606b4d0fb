"""An image and its annotated faces, the same whatever file they stand in."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

# No image has as many pixels on a side; and float32, in which boxes are trained on, holds less.
MAX_COORDINATE = 1e7

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")

# Names of the attributes that WIDER FACE has of its faces, and other formats may carry.
FACE_ATTRIBUTES = ("blur", "expression", "illumination", "occlusion", "pose")
# Stands for the event of images that lie in no folder.
NO_EVENT = "(no folder)"


class AnnotatedImage(NamedTuple):
    """An image as an annotation file has it, degenerate boxes included.

    Attributes:
        path: as it is written there, e.g. ``<event>/<image>.jpg``.
        boxes: (N, 4) float64 x, y, width, height in pixels; None where the file says of no image
            which faces it has.
        ignored: (N,) bool, boxes that are regions neither of a face nor of background.
        attributes: further values of the boxes by their names, (N,) int64 each.
        size: height and width in pixels as the file states them, if it does.
        places: (N,) int64, where each box stands in the file: the number of its line in a text,
            counted from 1, or its place in the list of a JSON, counted from 0; None if not known.
    """

    path: str
    boxes: np.ndarray | None
    ignored: np.ndarray | None = None
    attributes: Mapping[str, np.ndarray] = MappingProxyType({})
    size: tuple[int, int] | None = None
    places: np.ndarray | None = None


# As absolute paths of Windows begin.
_DRIVE = re.compile("[A-Za-z]:/")


def leaves_folder(path: str, image_dir: str) -> bool:
    """Whether the path of an image leads out of the folder that it should be in.

    Links in the folder are not looked into: whoever put them there meant them.

    Args:
        path: separated by either slash, also absolute.
        image_dir: folder that ``path`` is relative to; "" for none, which no path leaves.
    """
    path = path.replace("\\", "/")
    if not image_dir:
        return False
    # Else it would be a folder "C:" below the folder of images.
    if _DRIVE.match(path) and os.name != "nt":
        return True
    if not (path.startswith("/") or ".." in path.split("/")):
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


def event_of(name: str) -> str:
    """The event of an image, by which images are chosen, weighed and counted.

    Args:
        name: of :func:`image_name`, in WIDER FACE's layout ``"<event>/<image stem>"``.

    Returns:
        The first folder, or :data:`NO_EVENT` for an image in none.
    """
    event, slash, _ = name.partition("/")
    return event if slash else NO_EVENT


def path_below(path: str, image_dir: str = "") -> str:
    """The path of an image as that of a file below an output folder.

    Args:
        path, image_dir: as those of :func:`image_name`.

    Returns:
        Relative, with forward slashes and the extension.

    Raises:
        ValueError: if it leads out of ``image_dir``, or is no name that a file can have.
    """
    below = image_name(path, image_dir) + posixpath.splitext(path.replace("\\", "/"))[1]
    if below.startswith(("../", "/")) or below in ("", ".", ".."):
        raise ValueError(
            f"The image {path} does not lie in the folder of images: give that by --images"
        )
    require_text(below)
    return below


def require_text(path: str) -> None:
    """Refuse a path of an image that a text cannot hold in a line of UTF-8.

    Raises:
        ValueError: naming it.
    """
    as_written = path.encode(errors="replace").decode()
    if as_written != path or _CONTROLS.search(path):
        raise ValueError(
            f"The name of the image {as_written!r} has characters that are no text: rename it"
        )


def plain_number(value: float) -> str:
    """A number as short as it can be without loss, and without an exponent."""
    return str(int(value)) if value.is_integer() else np.format_float_positional(value, trim="-")
