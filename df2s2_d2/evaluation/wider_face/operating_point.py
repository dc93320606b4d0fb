"""What a detector finds, misses and invents at one operating point, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from df2s2_d2.formats.rows_by_image import concatenate_rows

from .ground_truth import GroundTruth
from .scoring import first_finders, match_to_faces


@dataclass(frozen=True)
class OperatingPoint:
    """The verdicts of the WIDER FACE protocol on detections of at least a certain score.

    A detection that is neither a hit nor false was taken out of the counts: it lies on an ignored
    face, or in an image without annotated faces.

    Attributes:
        setting: of the ground truth; its faces are to be found, all others are ignored.
        score: least score of the D detections.
        found: (M,) bool, the faces, ignored ones included, that a detection finds.
        missed: (M,) bool, the faces of the setting that none finds.
        detections: (D, 5) float64 ``x, y, width, height, score``.
        image_index: (D,) int64 position of each detection's image in the ground truth.
        is_hit: (D,) bool, whether it finds a face of the setting, first of all.
        is_false: (D,) bool, whether it lies on no face, or on one that was already found.
        num_found: (I,) int64 faces of the setting that are found in each image.
        num_missed: (I,) int64 faces of the setting that are missed in each image.
        num_false: (I,) int64 false positives in each image.
    """

    setting: str
    score: float
    found: np.ndarray
    missed: np.ndarray
    detections: np.ndarray
    image_index: np.ndarray
    is_hit: np.ndarray
    is_false: np.ndarray
    num_found: np.ndarray
    num_missed: np.ndarray
    num_false: np.ndarray


def judge_detections(
    detections: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    setting: str = "hard",
    score: float = 0.5,
    iou_threshold: float = 0.5,
) -> OperatingPoint:
    """Tell hits, false positives and misses apart, as the WIDER FACE protocol counts them.

    Args:
        detections: ``"<event>/<image stem>"`` -> (n, 5) ``x, y, width, height, score`` in pixels
            of the original image.
        ground_truth: annotated faces.
        setting: of the ground truth.
        score: detections of lower scores are left out; ``-inf`` keeps all of them.
        iou_threshold: least overlap, in (0, 1], at which a detection finds a face.

    Raises:
        ValueError: if the ground truth has no such setting, or detections are malformed.
    """
    kept = kept_faces(ground_truth, setting)
    image_index, table = concatenate_rows(
        ((image, detections.get(image, ())) for image in ground_truth.images), 5
    )
    passed = table[:, 4] >= score
    image_index, table = image_index[passed], table[passed]
    face = match_to_faces(
        table[:, :4], image_index, ground_truth.boxes, ground_truth.image_index, iou_threshold
    )
    found_faces, finders = first_finders(face, table[:, 4])
    found = np.zeros(len(kept), bool)
    found[found_faces] = True

    def count_per_image(image_index: np.ndarray) -> np.ndarray:
        return np.bincount(image_index, minlength=len(ground_truth.images))

    is_hit = np.zeros(len(table), bool)
    is_hit[finders[kept[found_faces]]] = True
    is_counted = count_per_image(ground_truth.image_index)[image_index] > 0
    on_face = np.flatnonzero(face >= 0)
    is_counted[on_face] = kept[face[on_face]]
    is_false = is_counted & ~is_hit
    missed = kept & ~found
    return OperatingPoint(
        setting=setting,
        score=score,
        found=found,
        missed=missed,
        detections=table,
        image_index=image_index,
        is_hit=is_hit,
        is_false=is_false,
        num_found=count_per_image(image_index[is_hit]),
        num_missed=count_per_image(ground_truth.image_index[missed]),
        num_false=count_per_image(image_index[is_false]),
    )


def kept_faces(ground_truth: GroundTruth, setting: str) -> np.ndarray:
    """(M,) bool mask of the faces of a setting.

    Raises:
        ValueError: if the ground truth has no such setting.
    """
    if setting not in ground_truth.kept:
        raise ValueError(
            f"the ground truth has no setting '{setting}', only {', '.join(ground_truth.kept)}"
        )
    return ground_truth.kept[setting]
