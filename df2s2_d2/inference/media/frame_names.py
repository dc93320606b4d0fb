"""Names of images and of frames of videos in results: no two have one in common."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.sources import Source, as_utf8

# Bytes of a name, of the 255 that file systems take: a suffix such as ".txt" is to follow.
_LONGEST_NAME = 250
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
# What would be another folder, or another name on another system.
_NO_EVENT = re.compile(r"[/\\\x00]")


class FrameNames:
    """Names ``<folder>/<image>``; of a video ``<its folder>/<number in six digits>``.

    A second image that is to be named like another gets a number, and so does the folder of a video
    if it is that of another video or of any image: ``x_2``. Names depend on the sources alone, so
    that they are the same in all shards of a run, and after it broke off.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        image_name: Callable[[Source], str],
        video_folder: Callable[[Source], str],
    ):
        """
        Args:
            sources: get their names first: images and then videos, in this order. What is not
                among them is named as it comes.
            image_name: the name that an image gets if it is free.
            video_folder: the folder that a video gets if it is free.
        """
        self._image_name = image_name
        self._video_folder = video_folder
        self._names: dict[Source, str] = {}
        self._images: set[str] = set()
        self._image_folders: set[str] = set()
        self._video_folders: set[str] = set()
        self._last_numbers: dict[tuple[str, bool], int] = {}  # those before them stay taken
        for source in sorted(sources, key=lambda source: source.is_video):
            self._reserve(source)

    def __call__(self, frame: Frame) -> str:
        """The name of an image or frame."""
        name = self._reserve(frame.source)
        return name if frame.index is None else f"{name}/{frame.index:06d}"

    def _reserve(self, source: Source) -> str:
        """The name of an image, or the folder of a video."""
        if source not in self._names:
            if source.is_video:
                name = self._first_free(self._video_folder(source), is_video=True)
                self._video_folders.add(name)
            else:
                name = self._first_free(self._image_name(source), is_video=False)
                self._images.add(name)
                self._image_folders.add(name.rpartition("/")[0])
            self._names[source] = name
        return self._names[source]

    def _first_free(self, wanted: str, is_video: bool) -> str:
        is_taken = self._is_taken_folder if is_video else self._is_taken_image
        number = self._last_numbers.get((wanted, is_video), 1)
        while is_taken(name := wanted if number == 1 else f"{wanted}_{number}"):
            number += 1
        self._last_numbers[wanted, is_video] = number
        return name

    def _is_taken_folder(self, name: str) -> bool:
        return name in self._video_folders or name in self._image_folders

    def _is_taken_image(self, name: str) -> bool:
        folder, _, image = name.rpartition("/")
        return name in self._images or (folder in self._video_folders and image.isdigit())


def evaluation_names(sources: Sequence[Source]) -> FrameNames:
    """Names ``<event>/<image>``, by which WIDER FACE's tools know images.

    An image's event is the folder that it is in; a video is an event of which each frame is an
    image.
    """
    return FrameNames(sources, _image_of_event, _event_of_video)


def _image_of_event(source: Source) -> str:
    path = Path(os.path.abspath(source.path))
    return f"{_event(path.parent.name)}/{_short(_NO_EVENT.sub('_', as_utf8(path.stem)))}"


def _event_of_video(source: Source) -> str:
    return _event(source.name.with_suffix(""))


def _event(path: str | os.PathLike) -> str:
    event = _NO_EVENT.sub("_", as_utf8(path))
    return "images" if event in ("", ".", "..") else _short(event)  # as in the root of a system


def path_names(sources: Sequence[Source]) -> FrameNames:
    """Names by the paths of images below the input; a video is a folder of its frames."""
    return FrameNames(
        sources,
        lambda source: as_text(source.name.with_suffix("")),
        lambda source: as_text(source.name),
    )


def as_text(path: str | os.PathLike) -> str:
    """A path without what neither XML, nor a line of text, nor another file's name can hold."""
    return "/".join(map(_short, _CONTROLS.sub("_", as_utf8(path)).split("/")))


def _short(name: str) -> str:
    """A name that a file may have with a suffix behind it: the end of a longer one becomes a hash.

    The folders down to a video are one name, and bytes that are not UTF-8 take three in it.
    """
    data = name.encode()
    if len(data) <= _LONGEST_NAME:
        return name
    mark = hashlib.sha256(data).hexdigest()[:12]
    return f"{data[: _LONGEST_NAME - 20].decode(errors='ignore')}-{mark}"
