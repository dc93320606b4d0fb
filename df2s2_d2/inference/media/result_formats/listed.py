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

    def start(self) -> None:
        self._file.start()

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

    def _line(self, frame: Frame, faces: np.ndarray, track_ids: np.ndarray | None) -> str:
        return format_line(
            str(frame.source.path),
            frame.image.shape[:2],
            faces,
            image=self._name(frame),
            track_ids=track_ids,
            **place_in_video(frame),
        )


class JsonResults(_Records):
    """``detections.json``: an array of what ``detections.jsonl`` has line by line."""

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        super().__init__(output)
        self._file: JsonArrayFile = JsonArrayFile(output.file("detections.json"), end=_end(state))

    def add(self, frame: Frame, faces: np.ndarray, track_ids: np.ndarray | None) -> None:
        self._file.add_lines([self._line(frame, faces, track_ids)])


class JsonLinesResults(_Records):
    """``detections.jsonl``, see :mod:`~df2s2_d2.formats.detections_jsonl`."""

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        super().__init__(output)
        self._file = GrowingFile(output.file("detections.jsonl"), end=_end(state))

    def add(self, frame: Frame, faces: np.ndarray, track_ids: np.ndarray | None) -> None:
        self._file.append(f"{self._line(frame, faces, track_ids)}\n")


class CsvResults(_OneFile):
    """``detections.csv``: a row a face; what an image or a face does not have is empty."""

    _COLUMNS = ("file", "frame", "time", "width", "height", "x1", "y1", "x2", "y2", "score")

    def __init__(self, output: RunOutput, state: Mapping[str, Any] | None = None):
        self._has_tracks = output.has_tracks
        columns = [*self._COLUMNS, *(["track"] if self._has_tracks else [])]
        self._file = GrowingFile(
            output.file("detections.csv"), _csv_text([columns]), end=_end(state)
        )

    def add(self, frame: Frame, faces: np.ndarray, track_ids: np.ndarray | None) -> None:
        height, width = frame.image.shape[:2]
        place = place_in_video(frame)
        start = [frame.source.path, place.get("frame"), place.get("time"), width, height]
        rows = [[*start, *face] for face in faces.tolist()]
        if self._has_tracks:
            ids = [0] * len(rows) if track_ids is None else track_ids.tolist()
            rows = [[*row, track or None] for row, track in zip(rows, ids, strict=True)]
        self._file.append(_csv_text(rows))


def _csv_text(rows: Sequence[Sequence]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
