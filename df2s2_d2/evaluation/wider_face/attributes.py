"""Attributes that WIDER FACE annotates for every face: blur, occlusion, pose and the like."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from df2s2_d2.formats.wider_face_mat import flatten_cells, load_cells, whole_numbers

from .ground_truth import GroundTruth

# Attribute -> what its values 0, 1, … mean.
ATTRIBUTE_VALUES = {
    "blur": ("clear", "normal", "heavy"),
    "occlusion": ("none", "partial", "heavy"),
    "pose": ("typical", "atypical"),
    "illumination": ("normal", "extreme"),
    "expression": ("typical", "exaggerated"),
    "invalid": ("no", "yes"),
}


def load_attributes(
    directory: str | os.PathLike, ground_truth: GroundTruth
) -> dict[str, np.ndarray]:
    """Read the attributes of the faces from the official ground truth.

    They stand beside the boxes in ``wider_face_val.mat``, equal to the columns of the annotation
    text, so that no second file has to be brought into line with the first.

    Args:
        directory: ``eval_tools/ground_truth`` of the official tools.
        ground_truth: what ``load_ground_truth`` read from it, with M faces.

    Returns:
        Attribute -> (M,) int64 values in the order of ``ground_truth.boxes``; their meaning is in
        ``ATTRIBUTE_VALUES``.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it holds no attributes, or not one value a face.
    """
    path = Path(directory) / "wider_face_val.mat"
    cells = load_cells(path, *(f"{name}_label_list" for name in ATTRIBUTE_VALUES))
    num_faces = np.bincount(ground_truth.image_index, minlength=len(ground_truth.images))
    attributes = {}
    for name, events in zip(ATTRIBUTE_VALUES, cells, strict=True):
        place = f"{path}, {name}_label_list"
        values = flatten_cells(events, place)
        if [np.size(one) for one in values] != num_faces.tolist():
            raise ValueError(
                f"{path}: {name}_label_list has not one value for each face; "
                "fetch the official file again"
            )
        attributes[name] = whole_numbers(values, place)
    return attributes


def group_by_attributes(attributes: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Sort faces into groups by the value of each attribute.

    Args:
        attributes: names of ``ATTRIBUTE_VALUES`` -> (M,) int64 values.

    Returns:
        Attribute -> meaning of a value -> (M,) bool.
    """
    return {
        name: {meaning: values == value for value, meaning in enumerate(ATTRIBUTE_VALUES[name])}
        for name, values in attributes.items()
    }
