"""Faces in a file for every frame: WIDER FACE's text, YOLO's labels and Pascal VOC's XML."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from pathlib import Path

import numpy as np

from df2s2_d2.formats import voc_xml, yolo
from df2s2_d2.formats.whole_outputs import write_whole
from df2s2_d2.formats.wider_face_detections import format_detections
from df2s2_d2.inference.media.frame_names import FrameNames, as_text
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_formats.base import ResultFile, RunOutput, corner_and_size


class _FilePerFrame(ResultFile):
    """Writes files by the names of frames; written once more, they are as they were."""

    def __init__(self, folder: Path, suffix: str, names: FrameNames):
        """
        Args:
            folder: for all files; made if need be.
            suffix: of their names.
            names: of frames, without it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._suffix = suffix
        self._name = names
        self._written: list[Path] = []  # since the disk was waited for

    @abstractmethod
    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        """What is written of (n, 5) ``x, y, width, height, score``."""

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        name = self._name(frame)
        path = self._folder / f"{name}{self._suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self._text(name, frame, corner_and_size(faces))
        write_whole(path, text.encode("utf-8"), durable=False)
        self._written.append(path)

    def state(self) -> None:
        return None

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
    """``wider/<event>/<image>.txt``, as WIDER FACE's tools read them."""

    def __init__(self, output: RunOutput, state: None = None):
        super().__init__(output.folder / "wider", ".txt", output.evaluation_names)

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        return format_detections(name, rows)


class YoloResults(_FilePerFrame):
    """``yolo/labels/<image>.txt`` with the score as sixth number, and ``yolo/classes.txt``."""

    def __init__(self, output: RunOutput, state: None = None):
        super().__init__(output.folder / "yolo/labels", ".txt", output.path_names)
        yolo.write_classes(output.folder / "yolo")

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        size = frame.image.shape[:2]
        return yolo.format_labels(rows[:, :4], size, Counter(), rows[:, 4])


class VocResults(_FilePerFrame):
    """``voc/Annotations/<image>.xml`` with the score as ``confidence``."""

    def __init__(self, output: RunOutput, state: None = None):
        super().__init__(output.folder / "voc/Annotations", ".xml", output.path_names)

    def _text(self, name: str, frame: Frame, rows: np.ndarray) -> str:
        suffix = as_text(frame.source.path.suffix) if frame.index is None else ".jpg"
        return voc_xml.format_annotation(
            name + suffix,
            frame.image.shape[:2],
            rows[:, :4],
            np.zeros(len(rows), bool),
            Counter(),
            scores=rows[:, 4],
        )
