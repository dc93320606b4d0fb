"""One-to-one matching of detections with faces, of the largest total overlap."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

# Overlap above which a matched detection counts as a found face.
FOUND_OVERLAP = 0.5


class ThresholdCounts(NamedTuple):
    """What the detections of an image at or above each threshold amount to.

    Attributes:
        thresholds: (T,) the distinct scores, descending.
        num_detections: (T,) int64 detections.
        num_found: (T,) int64 matched pairs that overlap by more than one half.
        total_overlap: (T,) float64 sum of the overlaps of all matched pairs.
    """

    thresholds: np.ndarray
    num_detections: np.ndarray
    num_found: np.ndarray
    total_overlap: np.ndarray


def match_regions(overlaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match one to one, so that the total overlap is as large as can be.

    Args:
        overlaps: (n, m) of detections with faces, fractions of 1.

    Returns:
        Detections and faces of the pairs, (k,) int64 each. All pairs do overlap.
    """
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    meets = overlaps[rows, columns] > 0
    return rows[meets], columns[meets]


def match_at_thresholds(overlaps: np.ndarray, scores: np.ndarray) -> ThresholdCounts:
    """Match the detections at or above a threshold with the faces, for every threshold.

    Args:
        overlaps: (n, m) of detections with faces, fractions of 1.
        scores: (n,) in any order.
    """
    order = np.argsort(-scores, kind="stable")
    scores, overlaps = scores[order], overlaps[order]
    stops = np.flatnonzero(np.append(scores[1:] != scores[:-1], len(scores) > 0)) + 1
    num_found = np.zeros(len(stops), np.int64)
    total_overlap = np.zeros(len(stops))

    # New detections displace matched ones along alternating paths, and each path begins at a new
    # detection. So one that is unmatched at a threshold stays so at all lower ones: only those
    # matched so far and the new ones are matched again. New ones without overlap change nothing.
    matched_rows = overlaps[:0]
    found, total = 0, 0.0
    meets = overlaps.any(axis=1)
    meeting = overlaps[meets]
    num_meeting = np.cumsum(meets)[stops - 1].tolist()
    for k, (start, stop) in enumerate(pairwise([0, *num_meeting])):
        if start < stop:
            candidates = np.concatenate((matched_rows, meeting[start:stop]))
            rows, columns = match_regions(candidates)
            matched_rows = candidates[rows]
            matched = candidates[rows, columns]
            found, total = np.count_nonzero(matched > FOUND_OVERLAP), matched.sum()
        num_found[k], total_overlap[k] = found, total
    return ThresholdCounts(scores[stops - 1], stops, num_found, total_overlap)
