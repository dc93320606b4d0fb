"""The WIDER FACE protocol in the loops of its authors' tools: over settings, images, detections
and thresholds. What the evaluator of this project is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from df2s2_d2.evaluation import GroundTruth

NUM_THRESHOLDS = 1000


def evaluate_by_loops(
    detections: Mapping[str, np.ndarray], ground_truth: GroundTruth, iou_threshold: float = 0.5
) -> dict[str, float]:
    """Average precision in every setting.

    Args:
        detections: ``"<event>/<image>"`` -> (n, 5) ``x, y, width, height, score``.
        ground_truth: the faces to be found.
        iou_threshold: least overlap at which a detection finds a face.

    Returns:
        ``"AP_<setting>"`` -> a fraction of 1.
    """
    scores = np.concatenate([rows[:, 4] for rows in detections.values()])
    low, high = scores.min(), scores.max()
    figures = {}
    for setting, kept in ground_truth.kept.items():
        curve = np.zeros((NUM_THRESHOLDS, 2))  # proposals and found faces at each threshold
        for number, image in enumerate(ground_truth.images):
            of_image = ground_truth.image_index == number
            rows = detections.get(image, ())
            if not of_image.any() or not len(rows):
                continue
            rows = rows[np.argsort(-rows[:, 4], kind="stable")]
            counts = judge_image(rows, ground_truth.boxes[of_image], kept[of_image], iou_threshold)
            normalised = (rows[:, 4] - low) / (high - low)
            for t in range(NUM_THRESHOLDS):
                reached = np.flatnonzero(normalised >= 1 - (t + 1) / NUM_THRESHOLDS)
                if len(reached):
                    curve[t] += counts[reached[-1]]
        proposals, found = curve.T
        precision = np.where(proposals > 0, found / np.maximum(proposals, 1), 1)
        figures[f"AP_{setting}"] = area_under_envelope(found / kept.sum(), precision)
    return figures


def judge_image(
    rows: np.ndarray, faces: np.ndarray, kept: np.ndarray, iou_threshold: float
) -> np.ndarray:
    """(n, 2) proposals and found faces among the first n detections, by descending score."""
    found = np.zeros(len(faces), bool)
    is_proposal = np.ones(len(rows), bool)
    counts = np.zeros((len(rows), 2))
    for number, row in enumerate(rows):
        overlaps = overlaps_with(row, faces)
        best = np.argmax(overlaps)
        if overlaps[best] >= iou_threshold:
            if kept[best]:
                found[best] = True
            else:
                is_proposal[number] = False
        counts[number] = np.count_nonzero(is_proposal[: number + 1]), np.count_nonzero(found)
    return counts


def overlaps_with(box: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(m,) IoU of one box with all faces of its image, sides counting pixels."""
    x2, y2 = box[0] + box[2], box[1] + box[3]
    face_x2, face_y2 = faces[:, 0] + faces[:, 2], faces[:, 1] + faces[:, 3]
    width = np.minimum(x2, face_x2) - np.maximum(box[0], faces[:, 0]) + 1
    height = np.minimum(y2, face_y2) - np.maximum(box[1], faces[:, 1]) + 1
    intersection = np.where((width > 0) & (height > 0), width * height, 0)
    area = (x2 - box[0] + 1) * (y2 - box[1] + 1)
    face_area = (face_x2 - faces[:, 0] + 1) * (face_y2 - faces[:, 1] + 1)
    return intersection / (area + face_area - intersection)


def area_under_envelope(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under the curve after each precision is raised to the highest behind it."""
    area, previous = 0.0, 0.0
    for t in range(len(recall)):
        area += (recall[t] - previous) * precision[t:].max()
        previous = recall[t]
    return float(area)
