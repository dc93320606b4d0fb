"""Files of detections in the submission format of the WIDER FACE benchmark.

A file, ``<event>/<image>.txt``, holds the image name, the number of detections, and one line
``x y width height score`` for each. Its path tells which image it is about, as in the official
tools; the name on the first line is not interpreted.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

_LAYOUT = "the image name, the number of detections, then one 'x y width height score' a line"

# Bounds the memory of reading: about 20 bytes for each byte of text.
_BYTES_PER_BATCH = 1 << 22


def read_detections(path: str | os.PathLike) -> dict[str, np.ndarray]:
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
    for name, data in _iterate_files(path):
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


def _iterate_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name relative to `path`, with forward slashes, and content of every detections file."""
    if path.is_dir():
        names = [
            os.path.relpath(os.path.join(folder, file), path).replace(os.sep, "/")
            for folder, _, files in os.walk(path)
            for file in files
        ]
        for name in _detection_names(names):
            yield name, (path / name).read_bytes()
    elif not path.exists():
        raise FileNotFoundError(
            f"{path} not found: give a folder, or its zip archive, of <event>/<image>.txt"
        )
    elif zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                for name in _detection_names(archive.namelist()):
                    yield name, archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ValueError(
                f"{path} is damaged, encrypted or packed in an unknown way ({error}); "
                "pack it again as a plain zip archive"
            ) from error
    else:
        raise ValueError(
            f"{path} is neither a folder nor a zip archive; detections come as either, "
            "with one <event>/<image>.txt an image"
        )


def _detection_names(names: Iterable[str]) -> list[str]:
    """The .txt files in the innermost folders; archives made on macOS hold shadow files beside."""
    texts = [
        name
        for name in names
        if name.endswith(".txt") and "__MACOSX/" not in name and "/._" not in name
    ]
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
        if table.shape == (len(lines), 5) and np.isfinite(table).all():
            return dict(zip(files, np.split(table, np.cumsum(counts))[:-1], strict=True))
    return {image: _parse_file(data, places[image]) for image, data in files.items()}


def _parse_file(data: bytes, place: str) -> np.ndarray:
    """Parse one file, naming the line of whatever is wrong with it."""
    lines = data.decode(errors="replace").rstrip().splitlines()
    if not lines:
        return np.zeros((0, 5))
    count_line = lines[1].strip() if len(lines) > 1 else ""
    if not count_line.isdecimal():
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
        rows.append(row)
    if int(count_line) != len(rows):
        raise ValueError(
            f"{place}, line 2: {count_line} detections announced, but {len(rows)} follow; "
            "the file may be cut short: write it again"
        )
    return np.array(rows, np.float64).reshape(-1, 5)


def write_detections(directory: str | os.PathLike, detections: Mapping[str, np.ndarray]) -> None:
    """Write detections in the official submission format, one ``<event>/<image>.txt`` an image.

    Numbers are written so that reading them back gives the same float64 values.

    Args:
        directory: where the event folders go; made if need be.
        detections: ``"<event>/<image>"`` -> (n, 5) ``x, y, width, height, score`` in any order;
            rows are written by descending score.

    Raises:
        ValueError: if an image name or the shape of an array is not as above.
    """
    directory = Path(directory)
    for image, rows in detections.items():
        event, _, stem = image.partition("/")
        if event in ("", ".", "..") or not stem or "/" in stem or "\\" in image:
            raise ValueError(f"'{image}' is no image name of the form '<event>/<image>'")
        rows = np.asarray(rows, np.float64)
        if rows.size and (rows.ndim != 2 or rows.shape[1] != 5):
            raise ValueError(f"{image}: expected an array of shape (n, 5), got {rows.shape}")
        rows = rows.reshape(-1, 5)
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        lines = [stem, str(len(rows)), *(" ".join(map(repr, row)) for row in rows.tolist())]
        (directory / event).mkdir(parents=True, exist_ok=True)
        (directory / event / f"{stem}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
