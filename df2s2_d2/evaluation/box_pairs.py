"""The few pairs of detections and faces that may overlap, among all that share an image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Bounds the memory of working on pairs, about 200 bytes a pair, to what fits into a cache.
_PAIRS_PER_CHUNK = 1 << 15


class FacesByPosition:
    """Faces of all images, sorted by image and left edge, so that near ones are found fast.

    Args:
        left: (M,) left edges of the faces, in pixels.
        image_index: (M,) the image of each face.
    """

    def __init__(self, left: np.ndarray, image_index: np.ndarray):
        # Images are laid side by side on one axis. The slack of one pixel is far more than the
        # rounding of positions on this axis.
        self._slack = 1.0
        self._axis_start = left.min(initial=np.inf) - self._slack
        self._axis_end = left.max(initial=-np.inf) + self._slack
        self._stride = self._axis_end - self._axis_start + self._slack
        position = image_index * self._stride + (left - self._axis_start)
        self._order = np.argsort(position, kind="stable")
        self._position = position[self._order]

    def pairs(
        self, window_start: np.ndarray, window_end: np.ndarray, image_index: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Pair each detection with the faces of its image whose left edge lies in its window.

        Args:
            window_start: (D,) left end of the window of each detection, in pixels.
            window_end: (D,) its right end.
            image_index: (D,) the image of each detection.

        Yields:
            Chunks of bounded size: (d,) indices of detections with at least one face, ascending,
            (d,) how many faces each of them has, and the (P,) indices of those faces, detection by
            detection.
        """
        if len(self._position) == 0:
            return
        image_start = image_index * self._stride - self._axis_start
        limits = self._axis_start, self._axis_end
        start = image_start + np.clip(window_start - self._slack, *limits)
        end = image_start + np.clip(window_end + self._slack, *limits)
        first = np.searchsorted(self._position, start, side="left")
        stop = np.searchsorted(self._position, end, side="right")

        candidates = np.flatnonzero(stop > first)
        num_faces = (stop - first)[candidates]
        for chunk in _chunks(num_faces):
            detection, repeats = candidates[chunk], num_faces[chunk]
            # Counts on within each detection's run of faces, which begins at `first`.
            offset = np.repeat(first[detection] - (np.cumsum(repeats) - repeats), repeats)
            yield detection, repeats, self._order[offset + np.arange(len(offset))]


def window_of_overlap(
    left: np.ndarray, width: np.ndarray, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where the left edge of a box can lie whose IoU with the given one reaches a threshold.

    Two intervals of IoU >= t have their left ends at most (1 - t) widths apart to the right and
    (1 / t - 1) to the left, and the IoU of boxes never exceeds that of their projections.
    """
    return left - (1 / iou_threshold - 1) * width, left + (1 - iou_threshold) * width


def _chunks(num_pairs: np.ndarray) -> list[slice]:
    """Cut detections into runs of at most about `_PAIRS_PER_CHUNK` pairs."""
    chunk_number = np.cumsum(num_pairs) // _PAIRS_PER_CHUNK
    edges = [0, *(np.flatnonzero(np.diff(chunk_number)) + 1), len(num_pairs)]
    return [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]
