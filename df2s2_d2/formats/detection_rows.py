"""What rows of detections can be: numbers that no detector means are mistakes of their writer.

Scored all the same, they would find no face, and an average precision of 0 would seem to be the
detector's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

import numpy as np

from df2s2_d2.formats.annotated_image import MAX_COORDINATE

logger = logging.getLogger(__name__)

# Pixels. Detectors that cut boxes off at the border write sides of 0, and in the protocol of WIDER
# FACE, whose sides are those of one pixel less, rounding takes them below.
_SHORTEST = -1.0

# Scores are subtracted from each other, which must not overflow.
_MAX_SCORE = 1e100

# Fractions of an image reach a little over 1 where boxes reach over its border.
_LARGEST_FRACTION = 2.0

# So many boxes that are all near the corner for their size are no coincidence.
_ENOUGH_BOXES = 20

# Number of columns -> those of the position and of the size: boxes, and ellipses with their angle.
_POSITIONS = {5: [0, 1], 6: [3, 4]}
_SIZES = {5: [2, 3], 6: [0, 1]}


def first_impossible(rows: np.ndarray) -> int | None:
    """The first row that can be no detection; None if there is none.

    Args:
        rows: (n, 5) ``x, y, width, height, score``, or (n, 6) ``major radius, minor radius, angle,
            centre x, centre y, score``, in pixels and radians.
    """
    sizes = rows[:, _SIZES[rows.shape[1]]]
    is_possible = (np.abs(rows[:, :-1]) < MAX_COORDINATE).all(axis=1)
    is_possible &= (np.abs(rows[:, -1]) < _MAX_SCORE) & (sizes > _SHORTEST).all(axis=1)
    return None if is_possible.all() else int(np.argmin(is_possible))


def expected_of_row(row: Sequence[float]) -> str:
    """What to say was expected in place of a row of numbers that can be no detection."""
    if any(row[column] <= _SHORTEST for column in _SIZES[len(row)]):
        return f"{'a width and height' if len(row) == 5 else 'radii'} of 0 or more"
    return f"finite numbers, coordinates below {MAX_COORDINATE:,.0f} pixels"


def check_coordinates(path: str | os.PathLike, detections: Mapping[str, np.ndarray]) -> None:
    """Tell coordinates of another kind from those in pixels, as far as all of them together show.

    Corners ``x1 y1 x2 y2`` in place of ``x y width height`` are warned of: so may boxes be that
    are large in every image.

    Args:
        path: of the detections, for messages.
        detections: image -> rows as for :func:`first_impossible`.

    Raises:
        ValueError: if they are fractions of the image: all of them lie within two pixels of its
            corner, and some coordinate is no whole number.
    """
    tables = [rows for rows in detections.values() if len(rows)]
    if not tables:
        return
    if all(map(_lies_in_corner, tables)) and any((rows[:, :-1] % 1).any() for rows in tables):
        raise ValueError(
            f"{path}: expected coordinates in pixels, but all of them lie within "
            f"{_LARGEST_FRACTION:g} pixels of the corner, like fractions of the image's sides: "
            "multiply them by its width and height"
        )
    if sum(map(len, tables)) >= _ENOUGH_BOXES and all(map(_looks_like_corners, tables)):
        logger.warning(
            "%s: every box is wider than it lies from the left and higher than it lies from the "
            "top: expected x y width height, are these the corners x1 y1 x2 y2?",
            path,
        )


def _lies_in_corner(rows: np.ndarray) -> bool:
    columns = _POSITIONS[rows.shape[1]] + _SIZES[rows.shape[1]]
    return np.abs(rows[:, columns]).max() <= _LARGEST_FRACTION


def _looks_like_corners(rows: np.ndarray) -> bool:
    return rows.shape[1] == 5 and bool((rows[:, 2:4] > rows[:, :2]).all())
