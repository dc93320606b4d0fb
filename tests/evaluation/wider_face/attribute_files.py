"""Attributes in the official file of ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

from df2s2_d2.evaluation.wider_face.attributes import ATTRIBUTE_VALUES
from tests.evaluation.wider_face.ground_truth_files import cells


def add_attributes(directory: Path, values=((1,), (0, 1)), dtype=np.uint8) -> None:
    """Give the images of two events, one image each, these values of every attribute."""
    path = directory / "wider_face_val.mat"
    variables = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
    lists = cells([cells([np.array(one, dtype).reshape(-1, 1)]) for one in values])
    savemat(path, variables | {f"{name}_label_list": lists for name in ATTRIBUTE_VALUES})
