"""Videos written by OpenCV: MPEG-4 Part 2 without sound, at a constant rate."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from df2s2_d2.inference.media.video_io.writer import VideoWriter, unwritable

# Pictures that the video may be ahead or behind, so that times which are rounded or count from the
# second frame leave every picture of a constant frame rate in its place.
_TOLERATED_LAG = 1.5


class OpenCvWriter(VideoWriter):
    """Repeats pictures, or leaves them out, so that each is seen at its time."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int]):
        """
        Args:
            path: of the file.
            fps: pictures a second.
            size: width and height.

        Raises:
            OSError: if it cannot be written; names it.
        """
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
        if not self._writer.isOpened():
            raise OSError(unwritable(path, *size))
        self._fps = fps
        self._num_written = 0

    def write(self, picture: np.ndarray, time: float | None) -> None:
        lag = 0 if time is None else time * self._fps - self._num_written
        repeats = 1 if abs(lag) < _TOLERATED_LAG else max(0, 1 + round(lag))
        for _ in range(repeats):
            self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self._num_written += repeats

    def close(self) -> None:
        self._writer.release()
