"""Files of detections in the format of the official FDDB evaluation.

A file repeats, for every image: its name, the number of detections, and one line each, either
``x y width height score`` or ``major_radius minor_radius angle center_x center_y score``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from df2s2_d2.formats.detection_rows import (
    check_coordinates,
    expected_of_row,
    first_impossible,
)
from df2s2_d2.formats.fddb_blocks import parse_blocks
from df2s2_d2.formats.folder_or_zip import iterate_files, read_bounded

_LAYOUTS = {
    5: "x y width height score",
    6: "major_radius minor_radius angle center_x center_y score",
}
_EXPECTED = "a file of detections, or a folder or zip archive of fold-XX-out.txt"


def read_detections(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read detections in the official format.

    Args:
        path: one file about all images, or a folder or zip archive of ``fold-XX-out.txt``. Other
            files in a folder are passed over.

    Returns:
        Image -> (n, 5) float64 ``x, y, width, height, score``, or (n, 6) ``major radius, minor
        radius, angle, centre x, centre y, score``, in pixels and radians, in the order of the file.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it holds no detections, a file is malformed, or its numbers can be no
            detections in pixels; the message names file and line.
    """
    path = Path(path)
    detections: dict[str, np.ndarray] = {}
    places: dict[str, str] = {}
    for file_place, data in _read_files(path):
        for image, line, rows in parse_blocks(data, file_place, _LAYOUTS):
            place = f"{file_place}, line {line}"
            if image in places:
                raise ValueError(
                    f"{place} and {places[image]} are both about {image[:80]}; remove one"
                )
            places[image] = place
            rows = rows if len(rows) else np.zeros((0, 5))
            wrong = first_impossible(rows)
            if wrong is not None:
                raise ValueError(
                    f"{place}: expected {expected_of_row(rows[wrong])} in row {wrong + 1} of "
                    f"{image[:80]}; found '{' '.join(f'{value:g}' for value in rows[wrong])}'"
                )
            detections[image] = rows
    if not detections:
        raise ValueError(
            f"{path} holds no detections: expected a file, or files fold-XX-out.txt, with an "
            f"image name, the number of detections, then one '{_LAYOUTS[5]}' a line"
        )
    check_coordinates(path, detections)
    return detections


def _read_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Place, for messages, and content of each file."""
    if path.is_file() and path.suffix.lower() != ".zip":
        yield str(path), read_bounded(path)
        return
    for name, data in iterate_files(path, _files_of_folds, _EXPECTED):
        yield str(path / name), data


def _files_of_folds(names: list[str]) -> list[str]:
    return sorted(name for name in names if re.search(r"fold-\d+-out\.txt$", name))


def write_detections(
    directory: str | os.PathLike,
    detections: Mapping[str, np.ndarray],
    folds: Mapping[str, Iterable[str]],
) -> None:
    """Write detections in the official format, one ``fold-XX-out.txt`` a fold.

    Numbers are written so that reading them back gives the same float64 values.

    Args:
        directory: where the files go; made if need be.
        detections: image -> (n, 5) or (n, 6) rows as :func:`read_detections` gives them, in any
            order; they are written by descending score. An image left out is written with none.
        folds: ``"XX"`` -> its images, e.g. from :func:`load_folds`.

    Raises:
        ValueError: if an image belongs to no fold, or the shape of an array is not as above.
    """
    unknown = detections.keys() - {image for images in folds.values() for image in images}
    if unknown:
        raise ValueError(f"{min(unknown)} belongs to none of the folds {', '.join(folds)}")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, images in folds.items():
        lines: list[str] = []
        for image in images:
            rows = np.asarray(detections.get(image, np.zeros((0, 5))), np.float64)
            if rows.ndim != 2 or rows.shape[1] not in _LAYOUTS:
                raise ValueError(
                    f"{image}: expected an array of shape (n, 5) or (n, 6), got {rows.shape}"
                )
            rows = rows[np.argsort(-rows[:, -1], kind="stable")]
            lines += [image, str(len(rows)), *(" ".join(map(repr, row)) for row in rows.tolist())]
        text = "".join(f"{line}\n" for line in lines)
        (directory / f"fold-{name}-out.txt").write_text(text, encoding="utf-8")
