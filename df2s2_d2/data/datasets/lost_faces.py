"""Annotated faces that a training would never see, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from detectron2.structures import BoxMode

from df2s2_d2.data.image_size import read_image_size

# Ways to lose a face, in the order in which they are looked for.
CROWD = "marked as crowd, ignored or invalid"
SHARES = "within 0 and 1, as if in shares of the image, not pixels"
OUTSIDE = "outside the image"
NO_AREA = "without an area"


class FaceCount(NamedTuple):
    """How many annotated boxes there are, and how many of them are not as they should be.

    Attributes:
        total: of all boxes.
        lost: reason -> boxes that are no faces to train on.
        off_centre: boxes that show in part, but not their centres.
        repeated: boxes that stand in their image once more, and are found only once.
    """

    total: int
    lost: dict[str, int]
    off_centre: int
    repeated: int

    @property
    def kept(self) -> int:
        return self.total - sum(self.lost.values())

    @property
    def share_lost(self) -> float:
        return 1 - self.kept / self.total if self.total else 0.0

    def describe_lost(self) -> str:
        return ", ".join(f"{count:,} {reason}" for reason, count in self.lost.items() if count)


def count_faces(
    records: Sequence[dict[str, Any]], image_sizes: np.ndarray, keep_crowd: bool
) -> FaceCount:
    """Count the faces of a data set that are lost before any augmentation.

    Args:
        records: dataset dicts with annotations.
        image_sizes: (I, 2) heights and widths in pixels; nan where they are not known, and only
            what lies above or left of such an image is outside it.
        keep_crowd: whether boxes marked ``iscrowd`` are faces.
    """
    faces = [face for record in records for face in record["annotations"]]
    boxes = np.array([face["bbox"] for face in faces], np.float64).reshape(-1, 4)
    modes = np.array([face["bbox_mode"] for face in faces])
    for mode in np.unique(modes):
        boxes[modes == mode] = BoxMode.convert(
            boxes[modes == mode], BoxMode(mode), BoxMode.XYXY_ABS
        )
    image_index = np.repeat(np.arange(len(records)), [len(r["annotations"]) for r in records])
    heights, widths = np.nan_to_num(image_sizes, nan=np.inf)[image_index].T
    left, top, right, bottom = boxes.T
    is_lost = {
        CROWD: np.array([bool(face.get("iscrowd")) for face in faces], bool) & (not keep_crowd),
        NO_AREA: (right <= left) | (bottom <= top),
        SHARES: (boxes >= 0).all(axis=1) & (boxes <= 1).all(axis=1),
        OUTSIDE: (right <= 0) | (bottom <= 0) | (left >= widths) | (top >= heights),
    }
    lost, not_yet = {}, np.ones(len(faces), bool)
    for reason, mask in is_lost.items():
        lost[reason] = int(np.count_nonzero(mask & not_yet))
        not_yet &= ~mask
    x, y = (left + right) / 2, (top + bottom) / 2
    is_off_centre = not_yet & ((x < 0) | (y < 0) | (x > widths) | (y > heights))
    repeated = len(faces) - len(np.unique(np.column_stack((image_index, boxes)), axis=0))
    return FaceCount(len(faces), lost, int(np.count_nonzero(is_off_centre)), repeated)


def stated_sizes(records: Sequence[dict[str, Any]]) -> np.ndarray:
    """(I, 2) heights and widths that annotations state, the larger of both if they differ.

    Either may be the height: they are often stated as an image is stored, before EXIF rotation.
    """
    sides = [(record.get("height"), record.get("width")) for record in records]
    sizes = np.array([side if all(side) else (np.nan, np.nan) for side in sides], np.float64)
    return np.repeat(sizes.reshape(-1, 2).max(axis=1, keepdims=True), 2, axis=1)


def read_sizes(records: Sequence[dict[str, Any]]) -> np.ndarray:
    """(I, 2) heights and widths from the heads of the images; nan of what is no image."""
    sizes = np.full((len(records), 2), np.nan)
    for index, record in enumerate(records):
        try:
            sizes[index] = read_image_size(record["file_name"])
        except OSError:
            continue  # found when it is read; here other images will do
    return sizes
