"""Where faces were seen in the frames of a video around a moment."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

# Seconds over which a face keeps its motion: older sightings count less by a factor of e.
_MEMORY = 0.2


@dataclass(frozen=True)
class Tracks:
    """A sighting of each of several faces.

    Attributes:
        ids: (T,) int64, rising.
        times: (T,) float64, seconds.
        boxes: (T, 4) float64, XYXY in pixels.
        velocities: (T, 2) float64, of the boxes' centres in pixels a second.
    """

    ids: np.ndarray
    times: np.ndarray
    boxes: np.ndarray
    velocities: np.ndarray

    def boxes_at(self, time: float) -> np.ndarray:
        """(T, 4) boxes if they move on as they do."""
        return self.boxes + np.tile(self.velocities * (time - self.times)[:, None], 2)

    def __getitem__(self, index: np.ndarray) -> Tracks:
        return Tracks(self.ids[index], self.times[index], self.boxes[index], self.velocities[index])


class Sightings:
    """The sightings of faces in consecutive frames, each with the number of its track."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, np.ndarray, np.ndarray]] = deque()

    def add(self, time: float, ids: np.ndarray, boxes: np.ndarray) -> None:
        """Add those of a frame.

        Args:
            time: of the frame in seconds, after those of the frames before.
            ids: (n,) int64, each once.
            boxes: (n, 4) XYXY in pixels.
        """
        self._frames.append((time, ids, boxes.astype(np.float64)))

    def forget(self, before: float) -> None:
        """Forget frames before a time, but those that tell how faces moved there."""
        while self._frames and self._frames[0][0] < before - 3 * _MEMORY:
            self._frames.popleft()

    def last_until(self, time: float) -> Tracks:
        """Of each track the last sighting up to a time, and how the face moves there."""
        return _nearest([frame for frame in self._frames if frame[0] <= time], time)

    def first_from(self, time: float) -> Tracks:
        """Of each track the first sighting from a time on, and how the face moves there."""
        return _nearest([frame for frame in self._frames if frame[0] >= time], time)


def _nearest(frames: list[tuple[float, np.ndarray, np.ndarray]], time: float) -> Tracks:
    """The sighting of each track that is nearest in time.

    Velocities are slopes of lines through all sightings of a track, by least squares, in which the
    nearest count most: a detector's boxes tremble too much for the difference of two of them.
    """
    frames = [(moment, ids, boxes) for moment, ids, boxes in frames if len(ids)]
    if not frames:
        return Tracks(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)), np.zeros((0, 2)))
    ids = np.concatenate([ids for _, ids, _ in frames])
    boxes = np.concatenate([boxes for *_, boxes in frames])
    times = np.repeat([moment for moment, *_ in frames], [len(ids) for _, ids, _ in frames])
    distances = np.abs(times - time)
    order = np.argsort(distances, kind="stable")
    ids, times, boxes = ids[order], times[order], boxes[order]
    # The first of several equal numbers is the nearest.
    tracks, nearest, track_of = np.unique(ids, return_index=True, return_inverse=True)
    offsets = times - times[nearest][track_of]
    weights = np.exp(-np.abs(offsets) / _MEMORY)

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(track_of, weights * values, len(tracks))

    offsets -= (sums(offsets) / sums(np.ones_like(offsets)))[track_of]
    spreads = sums(offsets**2)[:, None]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    products = np.stack([sums(offsets * centres[:, axis]) for axis in (0, 1)], axis=1)
    # A face that was seen once is taken to rest.
    slopes = np.divide(products, spreads, out=np.zeros_like(products), where=spreads > 0)
    return Tracks(tracks, times[nearest], boxes[nearest], slopes)
