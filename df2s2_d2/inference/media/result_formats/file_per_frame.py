"""Faces in a file for every frame: WIDER FACE's text, YOLO's labels and Pascal VOC's XML."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from df2s2_d2.formats import voc_xml, yolo
from df2s2_d2.formats.dropped import describe_dropped
from df2s2_d2.formats.whole_outputs import sync_folder, write_whole
from df2s2_d2.formats.wider_face_detections import format_detections
from df2s2_d2.inference.media.frame_names import FrameNames, as_text
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_formats.base import ResultFile, RunOutput, corner_and_size

logger = logging.getLogger(__name__)

# Files whose names are kept in memory before the disk is waited for.
_MOST_UNSYNCED = 1000


class _FilePerFrame(ResultFile):
    """Writes files by the names of frames; written once more, they are as they were."""

    def __init__(self, output: RunOutput, folder: str, suffix: str, names: FrameNames):
        """
        Args:
            output: of the run.
            folder: in its folder, for all files; made if need be.
            suffix: of their names.
            names: of frames, without it.
        """
        self._output = output
        self._folder = output.folder / folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._suffix = suffix
        self._name = names
        self._written: list[Path] = []  # since the disk was waited for, if it is to be

    def start(self) -> None:
        pass  # every frame has a file of its own

    @abstractmethod
    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        """What is written of (n, 5) ``x, y, width, height, score``."""

    def add(self, frame: Frame, faces: np.ndarray, track_ids: np.ndarray | None) -> None:
        name = self._name(frame)
        path = self._folder / f"{name}{self._suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self._text(name, frame, corner_and_size(faces))
        write_whole(path, text.encode("utf-8"), durable=False)
        if self._output.is_resumable:
            self._written.append(path)
        if len(self._written) >= _MOST_UNSYNCED:
            self.sync()

    def state(self) -> dict[str, Any]:
        return {}

    def sync(self) -> None:
        folders: set[Path] = set()
        for path in self._written:
            _sync_file(path)
            folders |= {path.parent, *path.parent.parents}
        # A file is found again only if the folders down to it, which may be as young, are there.
        for folder in folders:
            if folder.is_relative_to(self._output.folder):
                sync_folder(str(folder))
        self._written.clear()

    def close(self) -> None:
        pass


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class WiderResults(_FilePerFrame):
    """``wider/<event>/<image>.txt``, as WIDER FACE's tools read them."""

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        super().__init__(output, "wider", ".txt", output.evaluation_names)

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        return format_detections(name, rows)


class _Annotations(_FilePerFrame):
    """Formats that do not hold every box; what they leave out is told at the end."""

    def __init__(
        self,
        output: RunOutput,
        folder: str,
        suffix: str,
        state: Mapping[str, Any] | None,
    ):
        """
        Args:
            output, folder, suffix: see :class:`_FilePerFrame`.
            state: what was left out so far -> how often; None for nothing.
        """
        super().__init__(output, folder, suffix, output.path_names)
        self._dropped = Counter(state or {})

    def state(self) -> dict[str, int]:
        return dict(self._dropped)

    def close(self) -> None:
        lost = describe_dropped(self._dropped)
        if lost:
            logger.warning("%s leaves out %s", self._folder, lost)


class YoloResults(_Annotations):
    """``yolo/labels/<image>.txt`` with the score as sixth number, and ``yolo/classes.txt``."""

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        super().__init__(output, "yolo/labels", ".txt", state)

    def start(self) -> None:
        yolo.write_classes(self._output.folder / "yolo")

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        size = frame.image.shape[:2]
        return yolo.format_labels(rows[:, :4], size, self._dropped, rows[:, 4])


class VocResults(_Annotations):
    """``voc/Annotations/<image>.xml`` with the score as ``confidence``."""

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        super().__init__(output, "voc/Annotations", ".xml", state)

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        suffix = as_text(frame.source.path.suffix) if frame.index is None else ".jpg"
        return voc_xml.format_annotation(
            name + suffix,
            frame.image.shape[:2],
            rows[:, :4],
            np.zeros(len(rows), bool),
            self._dropped,
            scores=rows[:, 4],
        )
