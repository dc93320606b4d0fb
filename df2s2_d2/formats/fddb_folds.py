"""Ground truth of the FDDB benchmark: ten folds of images with faces annotated as ellipses.

FDDB-fold-XX.txt lists the images of a fold, FDDB-fold-XX-ellipseList.txt their faces: an image, the
number of its faces, and one line ``major_radius minor_radius angle center_x center_y 1`` each.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from df2s2_d2.formats.fddb_blocks import parse_blocks

_LAYOUTS = {6: "major_radius minor_radius angle center_x center_y 1"}
_PREFIX, _SUFFIX = "FDDB-fold-", "-ellipseList.txt"


def load_folds(directory: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
    """Read all folds in a folder.

    Args:
        directory: folder of ``FDDB-fold-XX-ellipseList.txt``. Where ``FDDB-fold-XX.txt`` is there
            as well, it has to list the same images.

    Returns:
        ``"XX"`` -> image -> (n, 5) float64 ``major radius, minor radius, angle, centre x,
        centre y``: pixels, and the angle of the major axis against the x axis in radians. Folds
        and images are in the order of names and files.

    Raises:
        FileNotFoundError: if there are no such files.
        ValueError: if a file is malformed; the message names file and line.
    """
    directory = Path(directory)
    paths = sorted(directory.glob(f"{_PREFIX}*{_SUFFIX}"))
    if not paths:
        raise FileNotFoundError(
            f"{directory} holds no {_PREFIX}XX{_SUFFIX}: give the folder FDDB-folds of the "
            "benchmark's annotations"
        )
    folds: dict[str, dict[str, np.ndarray]] = {}
    places: dict[str, str] = {}
    for path in paths:
        name = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        folds[name] = _read_fold(path, places)
        _check_image_list(directory / f"{_PREFIX}{name}.txt", path, folds[name])
    return folds


def _read_fold(path: Path, places: dict[str, str]) -> dict[str, np.ndarray]:
    """Read one fold; `places` tells where the images of all folds so far were found."""
    faces = {}
    for image, line, rows in parse_blocks(path.read_bytes(), str(path), _LAYOUTS):
        place = f"{path}, line {line}"
        if image in places:
            raise ValueError(f"{place}: {image[:80]} stands at {places[image]} already; remove one")
        ellipses = rows[:, :5].reshape(-1, 5)
        if not (ellipses[:, :2] > 0).all():
            raise ValueError(f"{place}: expected radii above 0 for the faces of {image[:80]}")
        places[image], faces[image] = place, ellipses
    return faces


def _check_image_list(list_path: Path, ellipse_path: Path, faces: dict[str, np.ndarray]) -> None:
    if not list_path.is_file():
        return
    text = list_path.read_text(encoding="utf-8-sig", errors="replace")
    listed = {line.strip().removesuffix(".jpg") for line in text.splitlines() if line.strip()}
    for image in sorted(listed ^ faces.keys()):
        here, absent = (list_path, ellipse_path) if image in listed else (ellipse_path, list_path)
        raise ValueError(
            f"{here} lists {image[:80]}, which {absent} lacks; fetch the benchmark's files again"
        )
