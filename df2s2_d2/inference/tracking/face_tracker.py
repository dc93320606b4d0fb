"""Faces of consecutive frames -> the numbers of the tracks that they are on."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from df2s2_d2.inference.tracking import MAX_GAP, WEAK_SHARE
from df2s2_d2.inference.tracking.sightings import Sightings

# Boxes are compared as if they were larger by this share of their size on each side, so that small
# faces which move by their width from frame to frame still overlap (C-BIoU, WACV 2023).
_BUFFER = 0.5
_LEAST_IOU = 0.3


class FaceTracker:
    """Gives the faces of a video numbers, the same from frame to frame.

    Each face is expected where its motion so far takes it, and the boxes of a frame are assigned to
    these places so that they overlap most in all: first those with a score above the threshold,
    then weaker ones to the tracks that are left. What is above the threshold and on no track begins
    one. Numbers count from 1 in the order of their beginnings; they depend on this video alone.

    Args:
        threshold: of the score, above which a face begins a track.
        max_gap: seconds for which a face may be missing and still be on its track. It may also be
            missing in no frame at all, however long that was ago.
    """

    def __init__(self, *, threshold: float = 0.5, max_gap: float = MAX_GAP):
        self._threshold = threshold
        self._max_gap = max_gap
        self._sightings = Sightings()
        self._num_tracks = 0
        self._last_time = -np.inf

    def update(self, boxes: np.ndarray, scores: np.ndarray, time: float) -> np.ndarray:
        """Look at the next frame.

        Args:
            boxes: (N, 4) XYXY in pixels, of all faces that the detector gives.
            scores: (N,), from 0 to 1.
            time: of the frame in seconds, not before that of the frame before.

        Returns:
            (N,) int64 numbers of tracks, each at most once; 0 for weak faces on none.

        Raises:
            ValueError: if a coordinate is not finite, or the time is before that of the last frame.
        """
        if time < self._last_time:
            raise ValueError(
                f"A frame at {time:g} s follows one at {self._last_time:g} s: make a FaceTracker "
                "for each video, and give it the frames in their order"
            )
        if not np.isfinite(boxes).all():
            raise ValueError("A face has a box that is not finite: the detector is broken")
        begin = min(time - self._max_gap, self._last_time)
        self._sightings.forget(begin)
        self._last_time = time
        tracks = self._sightings.last_until(time)
        tracks = tracks[tracks.times >= begin]
        expected = tracks.boxes_at(time)
        ids = np.zeros(len(boxes), np.int64)
        is_free = np.ones(len(tracks.ids), bool)
        is_strong = scores > self._threshold
        is_weak = ~is_strong & (scores > WEAK_SHARE * self._threshold)
        for candidates in map(np.flatnonzero, (is_strong, is_weak)):
            free = np.flatnonzero(is_free)
            on_track, found = _assign(expected[free], boxes[candidates])
            ids[candidates[found]] = tracks.ids[free[on_track]]
            is_free[free[on_track]] = False
        begins = np.flatnonzero(is_strong & (ids == 0))
        ids[begins] = self._num_tracks + 1 + np.arange(len(begins))
        self._num_tracks += len(begins)
        is_seen = ids > 0
        self._sightings.add(time, ids[is_seen], boxes[is_seen])
        return ids


def _assign(expected: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the pairs, none of them twice, that overlap enough, and most in all."""
    overlaps = _ious(_buffered(expected), _buffered(boxes))
    overlaps[overlaps < _LEAST_IOU] = 0
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    is_pair = overlaps[rows, columns] > 0
    return rows[is_pair], columns[is_pair]


def _buffered(boxes: np.ndarray) -> np.ndarray:
    added = _BUFFER * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - added, boxes[:, 2:] + added], axis=1)


def _ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) intersections over unions of (A, 4) and (B, 4) XYXY."""
    a, b = a[:, None], b[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = sides.clip(0).prod(axis=2)
    areas = [(box[..., 2:] - box[..., :2]).prod(axis=2) for box in (a, b)]
    return common / np.maximum(areas[0] + areas[1] - common, np.finfo(np.float64).tiny)
