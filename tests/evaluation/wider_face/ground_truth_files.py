"""Tiny ground truth in the official files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat


def cells(items):
    column = np.empty((len(items), 1), object)
    for k, item in enumerate(items):
        column[k, 0] = item
    return column


def save_ground_truth(directory: Path, kept_lists=((1,), (1, 2))) -> None:
    """Two events of one image each, with one and two faces."""
    savemat(
        directory / "wider_face_val.mat",
        {
            "event_list": cells(["0--Parade", "1--Handshaking"]),
            "file_list": cells([cells(["a.b_1"]), cells(["c_2"])]),
            "face_bbx_list": cells(
                [cells([np.array([[1, 2, 3, 4]])]), cells([np.array([[5, 6, 7, 8], [9, 9, 9, 9]])])]
            ),
        },
    )
    for setting in ("easy", "medium", "hard"):
        lists = cells([cells([np.array(one, np.uint8).reshape(-1, 1)]) for one in kept_lists])
        savemat(directory / f"wider_{setting}_val.mat", {"gt_list": lists})
