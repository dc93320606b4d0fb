"""Files of detections in the submission format of the WIDER FACE benchmark.

A file, ``<event>/<image>.txt``, holds the image name, the number of detections, and one line
``x y width height score`` for each. Its path tells which image it is about, as in the official
tools; the name on the first line is not interpreted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from df2s2_d2.formats.detection_rows import expected_of_row, first_impossible
from df2s2_d2.formats.folder_or_zip import iterate_files
from df2s2_d2.formats.rows_by_image import concatenate_rows
from df2s2_d2.formats.whole_numbers import parse_whole_number

_EXPECTED = (
    "a folder, or its zip archive, of <event>/<image>.txt, or COCO's results as .json, or .jsonl"
)
_LAYOUT = "the image name, the number of detections, then one 'x y width height score' a line"

# Bounds the memory of reading: about 20 bytes for each byte of text.
_BYTES_PER_BATCH = 1 << 22


def read_event_files(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read detections in the official submission format.

    Event folders may lie at any depth below `path`. Text files beside the event folders, and files
    of other kinds, are passed over. An empty file means no detections.

    Args:
        path: a folder of ``<event>/<image>.txt``, or a zip archive of one.

    Returns:
        ``"<event>/<image>"`` -> (n, 5) float64 ``x, y, width, height, score`` in pixels of the
        original image, in the order of the file.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it holds no detections files, or a file is malformed; the message names file
            and line.
    """
    path = Path(path)
    detections: dict[str, np.ndarray] = {}
    places: dict[str, str] = {}
    batch: dict[str, bytes] = {}
    batch_size = 0
    for name, data in iterate_files(path, _files_of_events, _EXPECTED):
        folder, _, file = name.rpartition("/")
        image = f"{folder.rpartition('/')[2]}/{file.removesuffix('.txt')}"
        place = os.path.join(path, name)
        if image in places:
            raise ValueError(f"{place} and {places[image]} are both about {image}; remove one")
        places[image] = place
        batch[image] = data
        batch_size += len(data)
        if batch_size >= _BYTES_PER_BATCH:
            detections.update(_parse_batch(batch, places))
            batch, batch_size = {}, 0
    detections.update(_parse_batch(batch, places))
    if not detections:
        raise ValueError(f"{path} holds no <event>/<image>.txt; each file has {_LAYOUT}")
    return detections


def _files_of_events(names: list[str]) -> list[str]:
    """The .txt files in the innermost folders."""
    texts = [name for name in names if name.endswith(".txt")]
    above_events = {name.rpartition("/")[0].rpartition("/")[0] for name in texts}
    return sorted(name for name in texts if name.rpartition("/")[0] not in above_events)


def _parse_batch(files: Mapping[str, bytes], places: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Parse many files at once; should anything be unusual in one, parse each with care instead."""
    lines: list[str] = []
    counts = []
    for data in files.values():
        rows = data.decode(errors="replace").rstrip().splitlines()
        count_line = rows[1].strip() if len(rows) > 1 else ""
        if rows and count_line != str(len(rows) - 2):
            break
        counts.append(max(len(rows) - 2, 0))
        lines += rows[2:]
    else:
        try:
            table = np.loadtxt(lines, comments=None, ndmin=2) if lines else np.zeros((0, 5))
        except ValueError:
            table = np.zeros((0, 0))
        if table.shape == (len(lines), 5) and first_impossible(table) is None:
            return dict(zip(files, np.split(table, np.cumsum(counts))[:-1], strict=True))
    return {image: _parse_file(data, places[image]) for image, data in files.items()}


def _parse_file(data: bytes, place: str) -> np.ndarray:
    """Parse one file, naming the line of whatever is wrong with it."""
    lines = data.decode(errors="replace").rstrip().splitlines()
    if not lines:
        return np.zeros((0, 5))
    count_line = lines[1].strip() if len(lines) > 1 else ""
    count = parse_whole_number(count_line)
    if count is None:
        raise ValueError(
            f"{place}, line 2: expected the number of detections, found '{count_line[:40]}'; "
            f"a file holds {_LAYOUT}"
        )
    rows = []
    for number, line in enumerate(lines[2:], start=3):
        if not line.strip():
            continue
        try:
            row = [float(field) for field in line.split()]
        except ValueError:
            row = []
        if len(row) != 5 or not all(map(math.isfinite, row)):
            raise ValueError(
                f"{place}, line {number}: expected five finite numbers 'x y width height score', "
                f"found '{line.strip()[:80]}'"
            )
        if first_impossible(np.array([row])) is not None:
            raise ValueError(
                f"{place}, line {number}: expected {expected_of_row(row)}; "
                f"found '{line.strip()[:80]}'"
            )
        rows.append(row)
    if count != len(rows):
        raise ValueError(
            f"{place}, line 2: {count_line} detections announced, but {len(rows)} follow; "
            "the file may be cut short: write it again"
        )
    return np.array(rows, np.float64).reshape(-1, 5)


def write_detections(directory: str | os.PathLike, detections: Mapping[str, np.ndarray]) -> None:
    """Write detections in the official submission format, one ``<event>/<image>.txt`` an image.

    Args:
        directory: where the event folders go; made if need be.
        detections: ``"<event>/<image>"`` -> (n, 5) ``x, y, width, height, score`` in any order;
            rows are written by descending score.

    Raises:
        ValueError: if an image name or an array is not as above; the message names the image.
    """
    for image, rows in detections.items():
        text = format_detections(image, rows)  # checks the name, which becomes a path
        path = Path(directory) / f"{image}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def is_submission_name(image: str) -> bool:
    """Whether an image is named ``<event>/<image>``, and its name can become the path of a file."""
    event, _, stem = image.partition("/")
    is_text = image.encode(errors="ignore").decode() == image  # else no file can be named so
    return (
        is_text
        and event not in ("", ".", "..")
        and stem != ""
        and "/" not in stem
        and not set(image) & set("\\\0")
    )


def format_detections(image: str, rows: np.ndarray) -> str:
    """The content of the file of one image, with rows by descending score.

    Numbers are written so that reading them back gives the same float64 values.

    Args:
        image: ``"<event>/<image>"``.
        rows: (n, 5) ``x, y, width, height, score``.

    Raises:
        ValueError: if the name is another, or the rows are not finite numbers of this shape.
    """
    if not is_submission_name(image):
        raise ValueError(f"'{image}' is no image name of the form '<event>/<image>'")
    first_line = " ".join(image.partition("/")[2].splitlines())
    _, rows = concatenate_rows([(image, rows)], 5)
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    lines = [first_line, str(len(rows)), *(" ".join(map(repr, row)) for row in rows.tolist())]
    return "\n".join(lines) + "\n"
