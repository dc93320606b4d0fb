"""Where faces are in a frame of a video, also those that no detector found in it."""

from __future__ import annotations

import numpy as np

from df2s2_d2.inference.tracking import MAX_GAP
from df2s2_d2.inference.tracking.sightings import Sightings, Tracks


class HeldFaces:
    """Keeps faces where they must be while they are missing for a short time.

    Between two sightings a face is where a steady motion from one to the other takes it. Before its
    first and after its last it is, for as long, anywhere between that place and the one where its
    motion there would take it: it may go on or stay.

    Args:
        max_gap: that of the :class:`~df2s2_d2.inference.tracking.face_tracker.FaceTracker`, which
            numbers the faces.
    """

    def __init__(self, max_gap: float = MAX_GAP):
        self._max_gap = max_gap
        self._sightings = Sightings()

    def add(self, time: float, ids: np.ndarray, boxes: np.ndarray) -> None:
        """Take the faces of a frame that are on tracks; see
        :meth:`~df2s2_d2.inference.tracking.sightings.Sightings.add`."""
        self._sightings.add(time, ids, boxes)

    def boxes_at(self, time: float) -> np.ndarray:
        """(n, 4) float64 XYXY of the faces in a frame, by what was added of frames before and after
        it; what was added of long before it is forgotten."""
        self._sightings.forget(time - self._max_gap)
        before = self._sightings.last_until(time)
        before = before[before.times >= time - self._max_gap]
        after = self._sightings.first_from(time)
        after = after[after.times <= time + self._max_gap]
        common, first, second = np.intersect1d(before.ids, after.ids, return_indices=True)
        ended = before[~np.isin(before.ids, common)]
        beginning = after[~np.isin(after.ids, common)]
        return np.concatenate(
            [
                _between(before[first], after[second], time),
                _around(ended, time),
                _around(beginning, time),
            ]
        )


def _between(before: Tracks, after: Tracks, time: float) -> np.ndarray:
    spans = after.times - before.times
    shares = np.divide(time - before.times, spans, out=np.zeros_like(spans), where=spans > 0)
    return before.boxes + shares[:, None] * (after.boxes - before.boxes)


def _around(tracks: Tracks, time: float) -> np.ndarray:
    """The smallest boxes around both places where a face may be."""
    moved = tracks.boxes_at(time)
    lows = np.minimum(tracks.boxes[:, :2], moved[:, :2])
    highs = np.maximum(tracks.boxes[:, 2:], moved[:, 2:])
    return np.concatenate([lows, highs], axis=1)
