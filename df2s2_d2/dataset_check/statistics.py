"""Figures of a data set: how many images and faces, and of what sizes and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from df2s2_d2.dataset_check.annotated_dataset import AnnotatedDataset
from df2s2_d2.evaluation.wider_face.breakdown import size_names

# Pixels of sqrt(width * height), an octave a bin.
SIZE_EDGES = (4, 8, 16, 32, 64, 128, 256, 512)
SIZE_NAMES = tuple(size_names(SIZE_EDGES))
_QUANTILES = {"min": 0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95}
_QUANTILES |= {"max": 1}


@dataclass(frozen=True)
class DatasetStatistics:
    """What a data set consists of.

    Attributes:
        num_images: annotated images, readable or not.
        num_readable: of them.
        num_faces: boxes of faces that have an area.
        num_ignored: regions that are neither face nor background.
        num_faceless: images without any face.
        by_event: event -> the number of its images, faces, ignored regions and faceless images.
        face_sizes: (F,) square roots of the faces' areas in pixels of the images as they are.
        aspect_ratios: (F,) height / width.
        faces_per_image: (I,) int64.
        image_sizes: (R, 2) heights and widths of the readable images.
    """

    num_images: int
    num_readable: int
    num_faces: int
    num_ignored: int
    num_faceless: int
    by_event: dict[str, dict[str, int]]
    face_sizes: np.ndarray
    aspect_ratios: np.ndarray
    faces_per_image: np.ndarray
    image_sizes: np.ndarray

    def summary(self) -> dict[str, Any]:
        """The figures, ready for JSON."""
        return {
            "images": self.num_images,
            "readable_images": self.num_readable,
            "faces": self.num_faces,
            "ignored_regions": self.num_ignored,
            "images_without_faces": self.num_faceless,
            "by_event": self.by_event,
            "face_size": quantiles(self.face_sizes),
            "faces_by_size": count_by_size(self.face_sizes),
            "face_height_over_width": quantiles(self.aspect_ratios),
            "faces_per_image": quantiles(self.faces_per_image),
            "image_height": quantiles(self.image_sizes[:, 0]),
            "image_width": quantiles(self.image_sizes[:, 1]),
        }


def compute_statistics(dataset: AnnotatedDataset, image_sizes: np.ndarray) -> DatasetStatistics:
    """Count what a data set consists of.

    Args:
        dataset: whose images and boxes are counted.
        image_sizes: (I, 2) heights and widths in pixels; nan where an image cannot be read.
    """
    labels = dataset.labels
    num_images = len(dataset.images)
    is_face = ~labels.ignored & (labels.boxes[:, 2:] > 0).all(axis=1)
    faces = np.bincount(labels.image_index[is_face], minlength=num_images)
    ignored = np.bincount(labels.image_index[labels.ignored], minlength=num_images)
    events, event_index = np.unique(dataset.events, return_inverse=True)
    columns = {
        "images": np.ones(num_images),
        "faces": faces,
        "ignored_regions": ignored,
        "images_without_faces": faces == 0,
    }
    totals = {
        name: np.bincount(event_index, values, len(events)).astype(int).tolist()
        for name, values in columns.items()
    }
    sides = labels.boxes[is_face, 2:]
    return DatasetStatistics(
        num_images=num_images,
        num_readable=int((~np.isnan(image_sizes[:, 0])).sum()),
        num_faces=int(is_face.sum()),
        num_ignored=int(labels.ignored.sum()),
        num_faceless=int((faces == 0).sum()),
        by_event={
            str(event): {name: values[k] for name, values in totals.items()}
            for k, event in enumerate(events)
        },
        face_sizes=np.sqrt(sides.prod(axis=1)),
        aspect_ratios=sides[:, 1] / sides[:, 0],
        faces_per_image=faces,
        image_sizes=image_sizes[~np.isnan(image_sizes[:, 0])],
    )


def quantiles(values: np.ndarray) -> dict[str, float]:
    """Name -> quantile, rounded to three digits; empty without values."""
    if len(values) == 0:
        return {}
    found = np.quantile(values, list(_QUANTILES.values())).tolist()
    return dict(zip(_QUANTILES, (round(value, 3) for value in found), strict=True))


def size_name(size: float) -> str:
    """The bin of ``SIZE_NAMES`` that a size in pixels belongs to."""
    return SIZE_NAMES[int(np.digitize(size, SIZE_EDGES))]


def count_by_size(sizes: Sequence[float] | np.ndarray) -> dict[str, int]:
    """Bin of ``SIZE_NAMES`` -> how many of the sizes are in it."""
    counts = np.bincount(np.digitize(sizes, SIZE_EDGES), minlength=len(SIZE_NAMES))
    return dict(zip(SIZE_NAMES, counts.tolist(), strict=True))
