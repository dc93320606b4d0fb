"""The official lists of WIDER FACE: cells of events, which hold cells of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def load_cells(path: Path, *names: str) -> list[np.ndarray]:
    """Read variables of a ``.mat`` file of the official WIDER FACE evaluation tools.

    Args:
        path: of the file, such as ``wider_face_val.mat``.
        names: of the variables.

    Returns:
        For each variable its cells, (E,) objects, one an event.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read or lacks a variable; the message names the file.
    """
    from scipy.io import loadmat  # here, since it takes longer to import than most of this work

    if not path.is_file():
        raise FileNotFoundError(
            f"{path} not found: the ground truth is the folder eval_tools/ground_truth of the "
            "official WIDER FACE evaluation tools, with wider_face_val.mat and "
            "wider_{easy,medium,hard}_val.mat"
        )
    try:
        variables = loadmat(path, variable_names=names)
    except Exception as error:  # SciPy raises many kinds on damaged files
        raise ValueError(
            f"{path} is not a readable MATLAB file ({error}); fetch the official file again"
        ) from error
    absent = [name for name in names if name not in variables]
    if absent:
        raise ValueError(f"{path} lacks the variable {absent[0]}; fetch the official file again")
    return [variables[name].ravel() for name in names]


def flatten_cells(events: np.ndarray) -> list[np.ndarray]:
    """Cells of one event each, holding cells of one image each -> one array an image."""
    return [image for event in events for image in event.ravel()]
