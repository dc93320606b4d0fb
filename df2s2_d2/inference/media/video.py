"""Frames of a video file or of a camera."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import cv2

from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.sources import Source, require_utf8

# For videos that do not tell their own; some cameras and containers say 0, or their time base.
DEFAULT_FPS = 25.0
_MOST_FPS = 1000.0
# The number of frames that a container announces is a guess in some formats.
_TOLERATED_LOSS = 0.02
# Some files say 0 for every frame, or a time far off; a picture is not shown for longer than this.
_LONGEST_STILL = 60.0


class Video:
    """The frames of a video file or camera, in the order of time.

    Attributes:
        fps: frames a second.
        num_frames: as the file announces it; None if unknown.
        frame_bytes: of a frame in memory; 0 if unknown.
    """

    def __init__(self, source: Source):
        """
        Raises:
            OSError: if it cannot be opened; names it.
        """
        self.source = source
        if source.camera is None:
            require_utf8(source.path)
            self._capture = cv2.VideoCapture(str(source.path))
        else:
            self._capture = cv2.VideoCapture(source.camera)
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what is seen now, not seconds ago
        if not self._capture.isOpened():
            raise OSError(_unopened(source))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= _MOST_FPS else DEFAULT_FPS
        announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.num_frames = announced if announced > 0 and source.camera is None else None
        width, height = map(
            self._capture.get, (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        self.frame_bytes = 3 * int(width) * int(height)

    def frames(self, report: Callable[[str], None]) -> Iterator[Frame]:
        """Read until the end.

        Times of a file rise: one that cannot be true is replaced by what the frame rate says.

        Args:
            report: told in a sentence if the video ends too early.
        """
        number = 0
        started = time.monotonic()
        seconds = -1 / self.fps
        while True:
            read, image = self._capture.read()
            if not read:
                break
            if self.source.camera is None:
                told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                is_sound = 0 < told - seconds <= _LONGEST_STILL
                seconds = told if is_sound else seconds + 1 / self.fps
            else:
                seconds = time.monotonic() - started
            yield Frame(self.source, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), number, seconds)
            number += 1
        if self.source.camera is not None:
            report(f"{self.source.path} gives no more frames: is it still connected?")
        elif number == 0:
            report(_unopened(self.source))
        elif self.num_frames and number < self.num_frames * (1 - _TOLERATED_LOSS):
            report(
                f"The video {self.source.path} can be read up to frame {number} of "
                f"{self.num_frames} only: it is damaged or cut short; restore the file"
            )

    def close(self) -> None:
        self._capture.release()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _unopened(source: Source) -> str:
    if source.camera is not None:
        return (
            f"Camera {source.camera} gives no pictures: check that it is connected and free, or "
            "try another number"
        )
    if not source.path.exists():
        return f"The video {source.path} does not exist"
    return (
        f"The video {source.path} cannot be read: it is empty, damaged or in a format unknown to "
        "OpenCV; restore or convert it"
    )
