"""Pictures -> a video file, with the sound of the video they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from df2s2_d2.inference.media.sources import require_utf8
from df2s2_d2.inference.media.video_io import writes_h264
from df2s2_d2.inference.media.video_io.writer import VideoWriter, unwritable


class VideoRecorder:
    """Writes an MP4 of pictures of one size; one column or row of an odd size is cut off."""

    def __init__(self, path: Path, fps: float, *, original: Path | None = None):
        """
        Args:
            path: of the file; folders are made if need be.
            fps: pictures a second.
            original: a video whose sound is taken over, if PyAV is installed.

        Raises:
            OSError: if the folder cannot be made, or the path is not UTF-8.
        """
        require_utf8(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.fps = fps
        self._original = original
        self._size: tuple[int, int] | None = None
        self._writer: VideoWriter | None = None

    def write(self, picture: np.ndarray, time: float | None = None) -> None:
        """Append a picture, to be seen at its time.

        Cameras, and files of a variable frame rate, give more or fewer pictures than they say.

        Args:
            picture: (H, W, 3) uint8 RGB.
            time: seconds since the beginning; None for as long after the last one as the rate
                says.

        Raises:
            OSError: if the file cannot be written, or the size changes.
        """
        height, width = picture.shape[:2]
        if self._size is None:
            self._size = width, height
        if self._size != (width, height):
            raise OSError(
                f"The size changes from {self._size[0]} x {self._size[1]} to {width} x {height} "
                f"pixels: {self.path} cannot hold both; cut the video there"
            )
        # Colours are stored for 2 x 2 pixels.
        picture = picture[: height // 2 * 2, : width // 2 * 2]
        if self._writer is None:
            self._writer = self._begin(picture)
        self._writer.write(picture, time)

    def _begin(self, picture: np.ndarray) -> VideoWriter:
        """Libraries are imported when they are needed: PyAV is optional.

        Raises:
            OSError: if the file cannot be written; names it.
        """
        if not picture.size:
            raise OSError(unwritable(self.path, *self._size))
        height, width = picture.shape[:2]
        if writes_h264():
            from df2s2_d2.inference.media.video_io.pyav_writer import PyAvWriter

            return PyAvWriter(self.path, self.fps, (width, height), self._original)
        from df2s2_d2.inference.media.video_io.opencv_writer import OpenCvWriter

        return OpenCvWriter(self.path, self.fps, (width, height))

    def close(self) -> None:
        """Finish the file; without that it cannot be played.

        Raises:
            OSError: if it cannot be written.
        """
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> VideoRecorder:
        return self

    def __exit__(self, *_) -> None:
        self.close()
