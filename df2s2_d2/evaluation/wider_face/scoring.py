"""Average precision of the WIDER FACE benchmark, digit for digit as its authors' tools compute it.

The protocol is that of Yang et al., "WIDER FACE: A Face Detection Benchmark" (CVPR 2016), as its
evaluation tools carry it out. Readings taken where it leaves room:

* Widths and heights count pixels, hence the ``+ 1`` in every overlap.
* Scores are min–max normalised over all images of the ground truth together. If all scores are
  equal they become 0, so that the curve has a single point.
* Detections of an image without any annotated face are left out of the counts, as the official
  tools do. An image whose faces are all ignored in a setting is another matter: a detection off
  those faces is a false positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from df2s2_d2.formats.rows_by_image import concatenate_rows

from ..box_pairs import FacesByPosition, window_of_overlap
from .ground_truth import GroundTruth

NUM_THRESHOLDS = 1000

# Bounds the memory of matching to about 10 MB.
_DETECTIONS_PER_BLOCK = 1 << 16


@dataclass(frozen=True)
class WiderFaceResult:
    """Average precision, curves and counts of one evaluation.

    Attributes:
        ap: ``"AP_<setting>"`` -> average precision, a fraction of 1; nan if a setting has no face.
        precision: setting -> (1000,) precision at each threshold; 1 where nothing is proposed.
        recall: setting -> (1000,) recall at each threshold.
        thresholds: (1000,) thresholds on the normalised score, descending from 0.999 to 0.
        num_images: images in the ground truth.
        num_faces: setting -> faces to be found.
        num_detections: detections in the images of the ground truth.
        num_missing_images: images of the ground truth without an entry among the detections.
        num_unknown_images: entries among the detections that the ground truth does not know.
        num_unknown_detections: detections in those entries; they are not scored.
    """

    ap: dict[str, float]
    precision: dict[str, np.ndarray]
    recall: dict[str, np.ndarray]
    thresholds: np.ndarray
    num_images: int
    num_faces: dict[str, int]
    num_detections: int
    num_missing_images: int
    num_unknown_images: int
    num_unknown_detections: int

    def counts(self) -> dict[str, int | dict[str, int]]:
        """What was counted, under the names of the files of results."""
        return {
            "images": self.num_images,
            "faces": self.num_faces,
            "detections": self.num_detections,
            "missing_files": self.num_missing_images,
            "unknown_files": self.num_unknown_images,
            "unknown_detections": self.num_unknown_detections,
        }


def evaluate_wider_face(
    detections: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    iou_threshold: float = 0.5,
) -> WiderFaceResult:
    """Score detections by the WIDER FACE protocol, in every setting of the ground truth.

    Args:
        detections: ``"<event>/<image stem>"`` -> (n, 5) ``x, y, width, height, score`` in pixels
            of the original image, in any order. An image left out has no detections.
        ground_truth: the faces to be found.
        iou_threshold: least overlap, in (0, 1], at which a detection finds a face.

    Raises:
        ValueError: if a detection array is not (n, 5) or not finite, or the threshold out of range.
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must lie in (0, 1], got {iou_threshold}")
    images = ground_truth.images
    image_index, table = concatenate_rows(
        ((image, detections.get(image, ())) for image in images), 5
    )
    unknown = detections.keys() - set(images)

    scores = table[:, 4]
    level = first_threshold_passed(scores)
    face = match_to_faces(
        table[:, :4], image_index, ground_truth.boxes, ground_truth.image_index, iou_threshold
    )
    found_faces, finders = first_finders(face, scores)
    in_annotated_image = (
        np.bincount(ground_truth.image_index, minlength=len(images))[image_index] > 0
    )

    on_face = np.flatnonzero(face >= 0)
    precision, recall = {}, {}
    for setting, kept in ground_truth.kept.items():
        is_proposal = in_annotated_image.copy()
        is_proposal[on_face] = kept[face[on_face]]
        num_proposals = count_per_threshold(level[is_proposal])
        num_found = count_per_threshold(level[finders[kept[found_faces]]])
        precision[setting] = precisions(num_found, num_proposals)
        num_kept = np.count_nonzero(kept)
        recall[setting] = num_found / num_kept if num_kept else np.full(NUM_THRESHOLDS, np.nan)

    return WiderFaceResult(
        ap={f"AP_{s}": average_precision(recall[s], precision[s]) for s in ground_truth.kept},
        precision=precision,
        recall=recall,
        thresholds=_thresholds(),
        num_images=len(images),
        num_faces={s: int(np.count_nonzero(kept)) for s, kept in ground_truth.kept.items()},
        num_detections=len(table),
        num_missing_images=sum(image not in detections for image in images),
        num_unknown_images=len(unknown),
        num_unknown_detections=sum(len(detections[image]) for image in unknown),
    )


def precisions(num_found: np.ndarray, num_proposals: np.ndarray) -> np.ndarray:
    """(..., T) shares of the proposals at each threshold that find a face; 1 without proposals."""
    out = np.ones(num_proposals.shape)
    return np.divide(num_found, num_proposals, out=out, where=num_proposals > 0)


def average_precision(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under the monotone envelope of a precision–recall curve (PASCAL VOC, all points).

    Args:
        recall: (T,) non-decreasing, fractions of 1.
        precision: (T,) fractions of 1.

    Returns:
        The area, a fraction of 1; nan if the recall is not defined.
    """
    return float(average_precisions(recall, precision))


def average_precisions(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """:func:`average_precision` of many curves.

    Args:
        recall, precision: (..., T).

    Returns:
        (...) areas, fractions of 1.
    """
    ends = [(0, 0)] * (recall.ndim - 1)
    recall = np.pad(recall, [*ends, (1, 1)], constant_values=(0, 1))
    precision = np.pad(precision, [*ends, (1, 1)])
    envelope = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    return np.sum(np.diff(recall, axis=-1) * envelope[..., 1:], axis=-1)


def match_to_faces(
    boxes: np.ndarray,
    image_index: np.ndarray,
    face_boxes: np.ndarray,
    face_image_index: np.ndarray,
    iou_threshold: float,
) -> np.ndarray:
    """Give each detection the face of its image that it overlaps most, if it overlaps it enough.

    Args, Returns: as :func:`most_overlapped_faces`, the faces alone.
    """
    return most_overlapped_faces(boxes, image_index, face_boxes, face_image_index, iou_threshold)[0]


def most_overlapped_faces(
    boxes: np.ndarray,
    image_index: np.ndarray,
    face_boxes: np.ndarray,
    face_image_index: np.ndarray,
    iou_threshold: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Find for each detection the face of its image that it overlaps most, and how much.

    Overlaps at or above the threshold are possible only where the left edges are near each other,
    so only such pairs are formed.

    Args:
        boxes: (D, 4) detections ``x, y, width, height`` in pixels.
        image_index: (D,) the image of each detection.
        face_boxes: (M, 4) faces ``x, y, width, height`` in pixels.
        face_image_index: (M,) the image of each face.
        iou_threshold: least overlap of a match, in (0, 1].

    Returns:
        (D,) int64 index of the matched face, the first of equally good ones; -1 without a match.
        (D,) IoU with it; 0 without a match.
    """
    matched = np.full(len(boxes), -1, np.int64)
    overlap = np.zeros(len(boxes))
    face_corners = _corners(face_boxes)
    faces = FacesByPosition(face_corners[0], face_image_index)
    for start in range(0, len(boxes), _DETECTIONS_PER_BLOCK):
        block = slice(start, start + _DETECTIONS_PER_BLOCK)
        corners, best_faces, best_ious = _corners(boxes[block]), matched[block], overlap[block]
        window = window_of_overlap(corners[0], corners[2] - corners[0] + 1, iou_threshold)
        for detection, repeats, face in faces.pairs(*window, image_index[block]):
            segment = np.cumsum(repeats) - repeats  # where the pairs of each detection begin
            iou = _paired_iou(corners[:, np.repeat(detection, repeats)], face_corners[:, face])
            best = np.maximum.reduceat(iou, segment)
            is_best = iou == np.repeat(best, repeats)
            best_face = np.minimum.reduceat(np.where(is_best, face, len(face_boxes)), segment)
            best_faces[detection] = np.where(best >= iou_threshold, best_face, -1)
            best_ious[detection] = np.where(best >= iou_threshold, best, 0)
    return matched, overlap


def _corners(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) x, y, width, height -> (4, N) x1, y1, x2, y2."""
    return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1).T.copy()


def _paired_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of a[:, i] with b[:, i] for (4, P) corners; 0 where the boxes do not meet."""
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) + 1
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]) + 1
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    area_a = (a[2] - a[0] + 1) * (a[3] - a[1] + 1)
    area_b = (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    union = area_a + area_b - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=intersection > 0)


def first_finders(face: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The faces found, and for each the highest-scoring detection on it, the first of ties."""
    on_face = np.flatnonzero(face >= 0)
    on_face = on_face[np.argsort(-scores[on_face], kind="stable")]
    found_faces, first = np.unique(face[on_face], return_index=True)
    return found_faces, on_face[first]


def first_threshold_passed(scores: np.ndarray) -> np.ndarray:
    """(D,) index of the first (highest) threshold that each min–max normalised score reaches."""
    if len(scores) == 0:
        return np.zeros(0, np.int64)
    span = scores.max() - scores.min()
    normalised = (scores - scores.min()) / (span if span > 0 else 1.0)
    ascending = _thresholds()[::-1]
    return NUM_THRESHOLDS - np.searchsorted(ascending, normalised, side="right")


def _thresholds() -> np.ndarray:
    return 1 - np.arange(1, NUM_THRESHOLDS + 1) / NUM_THRESHOLDS


def count_per_threshold(level: np.ndarray) -> np.ndarray:
    """(NUM_THRESHOLDS,) how many of the given detections reach each threshold."""
    return np.cumsum(np.bincount(level, minlength=NUM_THRESHOLDS))
