"""Detections as JSON Lines: one line an image or frame, such as

``{"file": "photos/a.jpg", "image": "photos/a", "width": 640, "height": 480,
"faces": [{"box": [10, 20, 40, 60], "score": 0.98}]}``

``image`` is the name by which evaluation knows the image, and no other line has it; without it the
name is that of the file. ``box`` has the corners x1, y1, x2, y2 in pixels. Frames of videos have
``frame``, from 0, and ``time`` in seconds too; if their faces are tracked, each has ``track``, a
number from 1 that is the same in all frames of the video, or null. Images without faces have an
empty list. An image that could not be looked at has ``error``, a sentence, in place of size and
faces, or no line. Files can be put together line by line, and a file is whole up to whatever ended
its last line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from df2s2_d2.formats.detection_rows import expected_of_row, first_impossible
from df2s2_d2.formats.json_file import as_id, is_number_below, shorten

_LARGEST = float(np.finfo(np.float64).max)
_LAST_FRAME = 10**9
# Finer than any box is known.
_SIZE_DECIMALS = 6
# Characters, as many as operating systems take.
_LONGEST_PATH = 4096


def format_line(
    file: str,
    size: tuple[int, int],
    faces: np.ndarray,
    frame: int | None = None,
    time: float | None = None,
    image: str | None = None,
    track_ids: np.ndarray | None = None,
) -> str:
    """The line of an image or frame, without its end.

    Args:
        file: the image or video.
        size: height and width in pixels.
        faces: (n, 5) ``x1, y1, x2, y2, score``, finite.
        frame, time: of the frame of a video; None for an image.
        image: the name by which evaluation knows it; None leaves it to ``file``.
        track_ids: (n,) numbers of the faces' tracks, 0 for none; None if they are not tracked.
    """
    record: dict[str, Any] = {"file": file}
    if image is not None:
        record["image"] = image
    if frame is not None:
        record |= {"frame": frame, "time": time}
    record |= {"width": size[1], "height": size[0]}
    record["faces"] = [{"box": box, "score": score} for *box, score in faces.tolist()]
    if track_ids is not None:
        for face, track in zip(record["faces"], track_ids.tolist(), strict=True):
            face["track"] = track or None
    return json.dumps(record, allow_nan=False)


def format_failure(file: str, error: str) -> str:
    """The line of an image that could not be looked at, without its end.

    Args:
        file: the image.
        error: why, in a sentence.
    """
    return json.dumps({"file": file, "error": error})


def read_detections(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read detections by names as WIDER FACE's tools have them.

    Args:
        path: of the file.

    Returns:
        ``image`` of a line, or, if it has none, ``"<folder of the image>/<image>"``, for a frame
        ``"<video>/<number in six digits>"`` -> (n, 5) float64 ``x, y, width, height, score`` in
        pixels, in the order of the file; without the images that could not be looked at.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it departs from the format, or is twice about one image; the message names
            file and line.
    """
    detections = {}
    lines: dict[str, int] = {}
    for number, image, rows in _parse_lines(path):
        if image in lines:
            raise ValueError(
                f"{path}, lines {lines[image]} and {number} are both about {image[:80]}; remove one"
            )
        lines[image] = number
        detections[image] = rows
    return detections


def _parse_lines(path: str | os.PathLike) -> Iterator[tuple[int, str, np.ndarray]]:
    """Number of the line, name of the image, and its rows."""
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if _is_failure(record):
                continue
            image, rows = _name(record), _rows(record)
            if image is None or rows is None:
                found = line[:80].decode(errors="replace").strip()
                remedy = "" if line.endswith(b"\n") else "; it is cut short: write it again"
                raise ValueError(
                    f'{path}, line {number}: expected JSON with "file" and "faces", each with '
                    f'"box" as [x1, y1, x2, y2] and "score"; found {found!r}{remedy}'
                )
            wrong = first_impossible(rows)
            if wrong is not None:
                raise ValueError(
                    f"{path}, line {number}: expected {expected_of_row(rows[wrong])}; "
                    f"found {shorten(record['faces'][wrong])}"
                )
            yield number, image, rows


def _is_failure(record: Any) -> bool:
    fields = record if isinstance(record, dict) else {}
    return isinstance(fields.get("error"), str) and "faces" not in fields


def name_of_file(path: Path) -> str:
    """The name of an image for which a line gives its file alone: its folder and its own name."""
    return f"{path.parent.name}/{path.stem}"


def _name(record: Any) -> str | None:
    """The name of the image or frame; None if the record has none."""
    fields = record if isinstance(record, dict) else {}
    image, file = fields.get("image"), fields.get("file")
    if image is not None:
        return image if isinstance(image, str) and 0 < len(image) <= _LONGEST_PATH else None
    if not isinstance(file, str) or len(file) > _LONGEST_PATH:
        return None
    path = Path(file.replace("\\", "/"))
    if not path.stem:
        return None
    frame = fields.get("frame")
    if frame is None:
        return name_of_file(path)
    frame = as_id(frame)
    is_number = isinstance(frame, int) and 0 <= frame <= _LAST_FRAME
    return f"{path.stem}/{frame:06d}" if is_number else None


def _rows(record: Any) -> np.ndarray | None:
    """(n, 5) ``x, y, width, height, score``; None if the record has no faces, or other ones."""
    faces = record.get("faces") if isinstance(record, dict) else None
    if not isinstance(faces, list):
        return None
    table = []
    for face in faces:
        fields = face if isinstance(face, dict) else {}
        box = fields.get("box")
        numbers = [*(box if isinstance(box, list) else ()), fields.get("score")]
        if len(numbers) != 5 or not all(is_number_below(one, _LARGEST) for one in numbers):
            return None
        table.append(numbers)
    rows = np.array(table, np.float64).reshape(-1, 5)
    with np.errstate(over="ignore"):  # what is too large is told as such
        # Of decimal fractions, whose difference is one too; all formats give the same sizes.
        rows[:, 2:4] = np.round(rows[:, 2:4] - rows[:, :2], _SIZE_DECIMALS)
    return rows
