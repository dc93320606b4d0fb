"""The official lists of WIDER FACE: cells of events, which hold cells of images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from df2s2_d2.formats.mat_file import read_mat

_REMEDY = "fetch the official file again"


def load_cells(path: Path, *names: str) -> list[np.ndarray]:
    """Read variables of a ``.mat`` file of the official WIDER FACE evaluation tools.

    Args:
        path: of the file, such as ``wider_face_val.mat``.
        names: of the variables.

    Returns:
        For each variable its cells, (E,) objects, one an event, which hold cells of one image
        each.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read or lacks a variable; the message names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} not found: the ground truth is the folder eval_tools/ground_truth of the "
            "official WIDER FACE evaluation tools, with wider_face_val.mat and "
            "wider_{easy,medium,hard}_val.mat"
        )
    try:
        variables = read_mat(path, names)
    except ValueError as error:
        raise ValueError(f"{path} is not a readable MATLAB file ({error}); {_REMEDY}") from error
    for name in names:
        if name not in variables:
            raise ValueError(f"{path} lacks the variable {name}; {_REMEDY}")
        if not _are_cells([variables[name]]):
            raise ValueError(f"{path}: expected cells in the variable {name}; {_REMEDY}")
    return [variables[name].ravel() for name in names]


def flatten_cells(events: np.ndarray, place: str) -> list[np.ndarray]:
    """Join the cells of all events.

    Args:
        events: cells of one event each, holding cells of one image each.
        place: file and variable, for messages.

    Returns:
        One array an image.

    Raises:
        ValueError: if an event holds anything else.
    """
    if not _are_cells(events):
        raise ValueError(f"{place}: expected cells of images in each event; {_REMEDY}")
    return [image for event in events for image in event.ravel()]


def whole_numbers(images: list[np.ndarray], place: str) -> np.ndarray:
    """Join the whole numbers of all images, which MATLAB may store as any type.

    Raises:
        ValueError: if there are values of another kind; names the place.
    """
    arrays = [np.asarray(image) for image in images]
    if not all(array.dtype.kind in "iufb" for array in arrays):
        raise ValueError(f"{place}: expected numbers for every image; {_REMEDY}")
    joined = np.concatenate([np.zeros(0), *(array.ravel() for array in arrays)])
    if not (np.isfinite(joined) & (np.abs(joined) < 2**31) & (joined % 1 == 0)).all():
        raise ValueError(f"{place}: expected whole numbers; {_REMEDY}")
    return joined.astype(np.int64)


def text_of(cell: np.ndarray, place: str) -> str:
    """The text in a cell.

    Raises:
        ValueError: if it holds none; names the place.
    """
    value = np.asarray(cell)
    if value.size != 1 or value.dtype.kind != "U":
        raise ValueError(f"{place}: expected a name in each cell; {_REMEDY}")
    return str(value.item())


def _are_cells(values: Iterable[np.ndarray]) -> bool:
    return all(isinstance(value, np.ndarray) and value.dtype == object for value in values)
