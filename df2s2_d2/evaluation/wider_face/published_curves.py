"""Precision–recall curves that others have published, read from CSV."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .ground_truth import SETTINGS
from .scoring import average_precision

_HEADER = ["precision", "recall"]


@dataclass(frozen=True)
class PublishedCurves:
    """Curves of one method, under the names that an evaluation's result has for its own.

    Attributes:
        ap: ``"AP_<setting>"`` -> average precision of the curve, a fraction of 1.
        precision: setting -> (T,) precision.
        recall: setting -> (T,) recall, non-decreasing.
    """

    ap: dict[str, float]
    precision: dict[str, np.ndarray]
    recall: dict[str, np.ndarray]


def read_published_curves(folder: str | os.PathLike) -> dict[str, PublishedCurves]:
    """Read the curves of all methods in a folder of ``<method>_<setting>.csv``.

    A file has the header ``precision,recall`` and a point of the curve a line, by descending
    threshold. A method may lack settings. Other files are passed over.

    Args:
        folder: where the files are; settings are easy, medium and hard.

    Returns:
        Method -> its curves, in alphabetical order.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no curves, or a file is malformed; the message names file and line.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} not found: give a folder of <method>_<setting>.csv")
    methods: dict[str, PublishedCurves] = {}
    for setting in SETTINGS:
        for path in folder.glob(f"?*_{setting}.csv"):
            method = path.stem.removesuffix(f"_{setting}")
            curves = methods.setdefault(method, PublishedCurves({}, {}, {}))
            precision, recall = _read_curve(path)
            curves.precision[setting], curves.recall[setting] = precision, recall
            curves.ap[f"AP_{setting}"] = average_precision(recall, precision)
    if not methods:
        raise ValueError(
            f"{folder} holds no <method>_<setting>.csv with a setting of {', '.join(SETTINGS)}"
        )
    return dict(sorted(methods.items()))


def _read_curve(path: Path) -> tuple[np.ndarray, np.ndarray]:
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    if not lines or [field.strip() for field in lines[0].split(",")] != _HEADER:
        found = lines[0][:60] if lines else ""
        raise ValueError(f"{path}, line 1: expected the header precision,recall; found {found!r}")
    points: list[tuple[float, float]] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            precision, recall = map(float, line.split(","))
        except ValueError:
            precision = recall = np.nan
        if not (0 <= precision <= 1 and 0 <= recall <= 1):
            raise ValueError(
                f"{path}, line {number}: expected two fractions of 1, found {line[:60]!r}"
            )
        if points and recall < points[-1][1]:
            raise ValueError(
                f"{path}, line {number}: recall falls from {points[-1][1]} to {recall}; "
                "sort the points by descending threshold"
            )
        points.append((precision, recall))
    if not points:
        raise ValueError(f"{path}: expected points below the header, found none")
    precision, recall = np.array(points).T
    return precision, recall
