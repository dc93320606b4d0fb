"""Average precision as COCO defines it, for crowds: up to thousands of faces in an image.

Thresholds, size classes and the area under the curves are pycocotools' own. Its matching is not
used: it compares every detection with every face of an image in Python, forty times over, which
takes minutes on WIDER FACE. Here the same matches are found for all images at once.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping

import numpy as np

from df2s2_d2.formats.rows_by_image import concatenate_rows

from .box_pairs import FacesByPosition, window_of_overlap
from .wider_face.ground_truth import GroundTruth


def coco_average_precision(
    detections: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    setting: str = "hard",
    max_detections: int = 2000,
) -> dict[str, float]:
    """Score detections as COCOeval does.

    Args:
        detections: ``"<event>/<image stem>"`` -> (n, 5) ``x, y, width, height, score`` in pixels
            of the original image, in any order. An image left out has no detections.
        ground_truth: the faces to be found.
        setting: whose kept faces are to be found; its ignored ones are what COCO calls crowds,
            which excuse any detection that lies in them by more than the threshold.
        max_detections: highest-scoring detections of an image that count. COCO's own 100 would
            leave out most of a crowd.

    Returns:
        ``AP`` (mean over IoU 0.50:0.05:0.95), ``AP50``, ``AP75``, and ``APs``, ``APm``, ``APl`` of
        faces below 32², up to 96² and above 96² pixels; fractions of 1, nan without such faces.

    Raises:
        ValueError: if a detection array is not (n, 5) or not finite, or the setting is unknown.
    """
    from pycocotools.cocoeval import Params  # here, since it is wanted only where COCO's AP is

    if setting not in ground_truth.kept:
        raise ValueError(f"setting {setting!r} is none of {', '.join(ground_truth.kept)}")
    image_index, table = concatenate_rows(
        ((image, detections.get(image, ())) for image in ground_truth.images), 5
    )
    ranked = _highest_of_each_image(image_index, table[:, 4], max_detections)
    image_index, boxes, scores = image_index[ranked], table[ranked, :4], table[ranked, 4]

    params = Params(iouType="bbox")
    is_crowd = ~ground_truth.kept[setting]
    area, face_area = np.prod(boxes[:, 2:], axis=1), np.prod(ground_truth.boxes[:, 2:], axis=1)
    detection, face, overlap = _overlapping_pairs(
        boxes, image_index, ground_truth, is_crowd, params.iouThrs[0]
    )
    precision = {}
    for label, (smallest, largest) in zip(params.areaRngLbl, params.areaRng, strict=True):
        is_ignored = is_crowd | (face_area < smallest) | (face_area > largest)
        is_outside = (area < smallest) | (area > largest)
        # The best face comes first, ignored ones behind all others, of equal ones the last.
        order = np.lexsort((-face, -overlap, is_ignored[face], detection))
        match = np.full((len(params.iouThrs), len(boxes)), -1)
        for row, threshold in zip(match, params.iouThrs, strict=True):
            chosen = order[overlap[order] >= min(threshold, 1 - 1e-10)]
            _match_greedily(detection[chosen], face[chosen], is_crowd, out=row)
        is_neutral = np.where(match >= 0, np.append(is_ignored, False)[match], is_outside)
        precision[label] = _accumulate(scores, match >= 0, is_neutral, is_ignored)
    whole = precision["all"]
    return {
        "AP": _mean(whole),
        "AP50": _mean(whole[np.isclose(params.iouThrs, 0.5)]),
        "AP75": _mean(whole[np.isclose(params.iouThrs, 0.75)]),
        "APs": _mean(precision["small"]),
        "APm": _mean(precision["medium"]),
        "APl": _mean(precision["large"]),
    }


def _highest_of_each_image(
    image_index: np.ndarray, scores: np.ndarray, max_detections: int
) -> np.ndarray:
    """Indices of the highest scores of each image, image by image, by descending score."""
    order = np.lexsort((-scores, image_index))
    first = np.searchsorted(image_index, image_index)  # where each image begins
    return order[np.arange(len(order)) - first < max_detections]


def _overlapping_pairs(
    boxes: np.ndarray,
    image_index: np.ndarray,
    ground_truth: GroundTruth,
    is_crowd: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detection, face and overlap of all pairs that overlap by at least the threshold."""
    left, width = boxes[:, 0], boxes[:, 2]
    crowd_width = ground_truth.boxes[is_crowd, 2].max(initial=0)
    windows = {
        False: window_of_overlap(left, width, threshold),
        True: (left - crowd_width, left + width),
    }
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for crowd, window in windows.items():
        chosen = np.flatnonzero(is_crowd == crowd)
        faces = FacesByPosition(ground_truth.boxes[chosen, 0], ground_truth.image_index[chosen])
        for detection, repeats, face in faces.pairs(*window, image_index):
            detection, face = np.repeat(detection, repeats), chosen[face]
            overlap = _overlap(boxes[detection].T, ground_truth.boxes[face].T, crowd)
            enough = overlap >= threshold
            parts.append((detection[enough], face[enough], overlap[enough]))
    detection, face, overlap = (np.concatenate(column) for column in zip(*parts, strict=True))
    return detection, face, overlap


def _overlap(boxes: np.ndarray, faces: np.ndarray, crowd: bool) -> np.ndarray:
    """IoU of boxes[:, i] with faces[:, i]; of a crowd, the share of the box that lies in it."""
    end, face_end = boxes[:2] + boxes[2:], faces[:2] + faces[2:]
    sides = np.minimum(end, face_end) - np.maximum(boxes[:2], faces[:2])
    intersection = np.where((sides > 0).all(axis=0), sides[0] * sides[1], 0)
    area = boxes[2] * boxes[3]
    union = area if crowd else area + faces[2] * faces[3] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=intersection > 0)


def _match_greedily(
    detection: np.ndarray, face: np.ndarray, is_crowd: np.ndarray, out: np.ndarray
) -> None:
    """Let each detection in turn take the first of its faces that is still free.

    That is the one stable assignment in which detections prefer their first faces, and faces the
    first detection. All detections propose at once, and those that are refused propose to their
    next face, until none is refused; a handful of rounds instead of a loop over detections.

    Args:
        detection: (P,) of each pair, ascending; the order in which they take their turns.
        face: (P,) of each pair, for each detection in the order of its preference.
        is_crowd: (M,) faces that any number of detections may take.
        out: (D,) filled with the face of each detection that takes one.
    """
    begin = np.flatnonzero(np.diff(detection, prepend=-1))
    end = np.append(begin[1:], len(detection))
    holder = np.full(len(is_crowd), len(begin))  # of each face, none at first
    position, proposing = begin.copy(), np.arange(len(begin))
    while len(proposing):
        wanted = face[position[proposing]]
        proposing, wanted = proposing[~is_crowd[wanted]], wanted[~is_crowd[wanted]]
        before = holder[wanted]
        np.minimum.at(holder, wanted, proposing)
        refused = proposing[holder[wanted] != proposing]
        displaced = np.unique(before[(before < len(begin)) & (holder[wanted] != before)])
        proposing = np.concatenate((refused, displaced))
        position[proposing] += 1
        proposing = proposing[position[proposing] < end[proposing]]
    taken = position < end
    out[detection[begin[taken]]] = face[position[taken]]


def _accumulate(
    scores: np.ndarray, is_matched: np.ndarray, is_neutral: np.ndarray, is_ignored: np.ndarray
) -> np.ndarray:
    """(T, 101) precision at COCO's thresholds and recalls, -1 if there is no face to be found.

    Args:
        scores: (D,) of the detections.
        is_matched: (T, D) at each threshold of overlap.
        is_neutral: (T, D) detections that are neither right nor wrong.
        is_ignored: (M,) faces that are not to be found.
    """
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        evaluation = COCOeval(iouType="bbox")
        params = evaluation._paramsEval = evaluation.params
        # All images are accumulated as if they were one, which is what COCOeval makes of them.
        params.imgIds, params.catIds = [0], [0]
        params.areaRng, params.maxDets = [[0, np.inf]], [len(scores)]
        evaluation.evalImgs = [
            {
                "dtScores": scores,
                "dtMatches": is_matched,
                "dtIgnore": is_neutral,
                "gtIgnore": is_ignored,
            }
        ]
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0]


def _mean(precision: np.ndarray) -> float:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else float("nan")
