"""Video files and cameras by OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from df2s2_d2.inference.media.video_io.reader import VideoReader
from df2s2_d2.inference.media.video_io.video_faults import cut_short, is_less, unreadable


class _OpenCvReader(VideoReader):
    """What OpenCV captures from."""

    def __init__(self, capture: cv2.VideoCapture):
        self._capture = capture
        self.fps = capture.get(cv2.CAP_PROP_FPS)
        width, height = map(capture.get, (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        self.frame_bytes = 3 * int(width) * int(height)

    def pictures(self) -> Iterator[tuple[np.ndarray, float | None]]:
        while (result := self._capture.read())[0]:
            yield cv2.cvtColor(result[1], cv2.COLOR_BGR2RGB), self._time()

    def _time(self) -> float:
        """Seconds since the beginning, of the picture that was read last."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def close(self) -> None:
        self._capture.release()


class OpenCvFileReader(_OpenCvReader):
    """A video file."""

    def __init__(self, path: Path):
        """
        Raises:
            OSError: if it cannot be read; names it.
        """
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise OSError(unreadable(path, "OpenCV"))
        super().__init__(capture)
        self._path = path
        announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.num_frames = announced if announced > 0 else None

    def fault(self, num_read: int) -> str | None:
        if num_read == 0:
            return unreadable(self._path, "OpenCV")
        if is_less(num_read, self.num_frames):
            return cut_short(self._path, f"frame {num_read} of {self.num_frames}")
        return None


class CameraReader(_OpenCvReader):
    """A camera of this machine; the time of its pictures is that which has passed."""

    is_live = True

    def __init__(self, number: int):
        """
        Args:
            number: as the system counts cameras, from 0.

        Raises:
            OSError: if it gives no pictures; names it.
        """
        capture = cv2.VideoCapture(number)
        if not capture.isOpened():
            raise OSError(
                f"Camera {number} gives no pictures: check that it is connected and free, or "
                "try another number"
            )
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what is seen now, not seconds ago
        super().__init__(capture)
        self._number = number
        self._started = time.monotonic()

    def _time(self) -> float:
        return time.monotonic() - self._started

    def fault(self, num_read: int) -> str | None:
        return f"webcam{self._number} gives no more frames: is it still connected?"
