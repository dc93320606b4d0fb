"""Faces frame by frame in one file: JSON, JSON Lines and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from df2s2_d2.formats.detections_jsonl import format_line
from df2s2_d2.formats.growing_files import GrowingFile, JsonArrayFile
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_formats.base import ResultFile, RunOutput, place_in_video


class _OneFile(ResultFile):
    """Adds to one growing file, whose end is its state."""

    _file: GrowingFile

    def state(self) -> dict[str, int]:
        return {"end": self._file.end}

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


def _end(state: Mapping[str, Any] | None) -> int | None:
    return None if state is None else state.get("end")


class _Records(_OneFile):
    """Adds what JSON Lines have of an image or frame."""

    def __init__(self, output: RunOutput):
        self._name = output.evaluation_names

    def _line(self, frame: Frame, faces: np.ndarray) -> str:
        size, place = frame.image.shape[:2], place_in_video(frame)
        return format_line(str(frame.source.path), size, faces, image=self._name(frame), **place)


class JsonResults(_Records):
    """``detections.json``: an array of what ``detections.jsonl`` has line by line."""

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        super().__init__(output)
        self._file: JsonArrayFile = JsonArrayFile(output.file("detections.json"), end=_end(state))

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        self._file.add_lines([self._line(frame, faces)])


class JsonLinesResults(_Records):
    """``detections.jsonl``, see :mod:`~df2s2_d2.formats.detections_jsonl`."""

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        super().__init__(output)
        self._file = GrowingFile(output.file("detections.jsonl"), end=_end(state))

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        self._file.append(f"{self._line(frame, faces)}\n")


class CsvResults(_OneFile):
    """``detections.csv``: a row a face; frame and time are empty for images."""

    _COLUMNS = ("file", "frame", "time", "width", "height", "x1", "y1", "x2", "y2", "score")

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        self._file = GrowingFile(
            output.file("detections.csv"), _csv_text([self._COLUMNS]), end=_end(state)
        )

    def add(self, frame: Frame, faces: np.ndarray) -> None:
        height, width = frame.image.shape[:2]
        place = place_in_video(frame)
        start = [frame.source.path, place.get("frame"), place.get("time"), width, height]
        self._file.append(_csv_text([[*start, *face] for face in faces.tolist()]))


def _csv_text(rows: Sequence[Sequence]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
