"""Faces in a file for every frame: WIDER FACE's text, YOLO's labels and Pascal VOC's XML."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from df2s2_d2.formats import voc_xml, yolo
from df2s2_d2.formats.whole_outputs import write_whole
from df2s2_d2.formats.wider_face_detections import format_detections
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_formats.base import ResultFile, RunOutput, corner_and_size
from df2s2_d2.inference.media.sources import Source, as_utf8

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class _FilePerFrame(ResultFile):
    """Writes files by the names of frames; written once more, they are as they were."""

    def __init__(self, folder: Path, suffix: str, sources: Sequence[Source]):
        """
        Args:
            folder: for all files; made if need be.
            suffix: of their names.
            sources: get their names first, and in this order.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._suffix = suffix
        self._written: list[Path] = []  # since the disk was waited for
        self._names: dict[Source, str] = {}
        self._taken: set[str] = set()
        for source in sources:
            if not source.is_video:
                self._image_name(source)

    @abstractmethod
    def _wanted_name(self, source: Source) -> str:
        """The name of an image, if it is free."""

    @abstractmethod
    def _frame_name(self, frame: Frame) -> str:
        """The name of the frame of a video."""

    @abstractmethod
    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        """What is written of (n, 5) ``x, y, width, height, score``."""

    def _image_name(self, source: Source) -> str:
        """A second image that is to be named like another gets a number."""
        if source not in self._names:
            wanted = self._wanted_name(source)
            name, number = wanted, 1
            while name in self._taken:
                number += 1
                name = f"{wanted}_{number}"
            self._taken.add(name)
            self._names[source] = name
        return self._names[source]

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        is_image = frame.index is None
        name = self._image_name(frame.source) if is_image else self._frame_name(frame)
        path = self._folder / f"{name}{self._suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self._text(name, frame, corner_and_size(faces))
        write_whole(path, text.encode("utf-8"), durable=False)
        self._written.append(path)

    def state(self) -> dict[str, int]:
        return {}

    def sync(self) -> None:
        for path in self._written:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._written.clear()

    def close(self) -> None:
        pass  # every frame has a file of its own


class WiderResults(_FilePerFrame):
    """``wider/<event>/<image>.txt``, as WIDER FACE's tools read them.

    An image's event is the folder that it is in; a video is an event of which each frame, by its
    number, is an image. A second image of like name in a folder of like name gets a number.
    """

    def __init__(self, output: RunOutput, state: Mapping[str, int] | None = None):
        super().__init__(output.folder / "wider", ".txt", output.sources)

    def _wanted_name(self, source: Source) -> str:
        path = Path(os.path.abspath(source.path))
        # Either sign between folders would make more of them.
        event, stem = (as_utf8(part).replace("\\", "_") for part in (path.parent.name, path.stem))
        return f"{event or 'images'}/{stem}"  # an image in the root of the file system has none

    def _frame_name(self, frame: Frame) -> str:
        event = str(frame.source.name.with_suffix("")).replace("/", "_")
        return f"{event}/{frame.index:06d}"

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        return format_detections(name, rows)


class _ByPath(_FilePerFrame):
    """Files by the paths of images below the input; a video is a folder of its frames."""

    def _wanted_name(self, source: Source) -> str:
        return _as_text(source.name.with_suffix(""))

    def _frame_name(self, frame: Frame) -> str:
        return f"{_as_text(frame.source.name)}/{frame.index:06d}"


def _as_text(path: str | os.PathLike) -> str:
    return _CONTROLS.sub("_", as_utf8(path))


class YoloResults(_ByPath):
    """``yolo/labels/<image>.txt`` with the score as sixth number, and ``yolo/classes.txt``."""

    def __init__(self, output: RunOutput, state: Mapping[str, int] | None = None):
        super().__init__(output.folder / "yolo/labels", ".txt", output.sources)
        yolo.write_classes(output.folder / "yolo")

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        size = frame.image.shape[:2]
        return yolo.format_labels(rows[:, :4], size, Counter(), rows[:, 4])


class VocResults(_ByPath):
    """``voc/Annotations/<image>.xml`` with the score as ``confidence``."""

    def __init__(self, output: RunOutput, state: Mapping[str, int] | None = None):
        super().__init__(output.folder / "voc/Annotations", ".xml", output.sources)

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        suffix = _as_text(frame.source.path.suffix) if frame.index is None else ".jpg"
        return voc_xml.format_annotation(
            name + suffix,
            frame.image.shape[:2],
            rows[:, :4],
            np.zeros(len(rows), bool),
            Counter(),
            scores=rows[:, 4],
        )
