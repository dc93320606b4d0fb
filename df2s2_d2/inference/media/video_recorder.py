"""Pictures -> a video file, with the sound of the video they come from where ffmpeg is there."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

from df2s2_d2.inference.media.sources import require_utf8

logger = logging.getLogger(__name__)

# Pictures that the video may be ahead or behind, so that times which are rounded or count from the
# second frame leave every picture of a constant frame rate in its place.
_TOLERATED_LAG = 1.5


class VideoRecorder:
    """Writes an MP4 of pictures of one size; one column or row of an odd size is cut off."""

    def __init__(self, path: Path, fps: float, *, sound_of: Path | None = None):
        """
        Args:
            path: of the file; folders are made if need be.
            fps: pictures a second.
            sound_of: a video whose sound is taken over if ffmpeg is installed.

        Raises:
            OSError: if the folder cannot be made, or the path is not UTF-8.
        """
        require_utf8(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.fps = fps
        self.num_pictures = 0
        self._sound_of = sound_of
        self._size: tuple[int, int] | None = None
        self._writer: cv2.VideoWriter | None = None

    def write(self, picture: np.ndarray, time: float | None = None) -> None:
        """Append a picture, repeated or left out so that each is seen at its time.

        Cameras, and files of a variable frame rate, give more or fewer pictures than they say.

        Args:
            picture: (H, W, 3) uint8 RGB.
            time: seconds since the beginning; None appends it once.

        Raises:
            OSError: if the file cannot be written, or the size changes.
        """
        height, width = picture.shape[:2]
        if self._writer is None:
            self._size = width, height
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), codec, self.fps, self._size)
            if not self._writer.isOpened():
                raise OSError(
                    f"The video {self.path} of {width} x {height} pixels cannot be written: check "
                    "that there is room and that its folder may be written to"
                )
        if self._size != (width, height):
            # OpenCV would drop the picture without a word.
            raise OSError(
                f"The size changes from {self._size[0]} x {self._size[1]} to {width} x {height} "
                f"pixels: {self.path} cannot hold both; cut the video there"
            )
        lag = 0 if time is None else time * self.fps - self.num_pictures
        repeats = 1 if abs(lag) < _TOLERATED_LAG else max(0, 1 + round(lag))
        for _ in range(repeats):
            self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self.num_pictures += repeats

    def close(self) -> None:
        """Finish the file; without that it cannot be played."""
        if self._writer is None:
            return
        self._writer.release()
        if self._sound_of is not None and can_copy_sound():
            try:
                copy_sound(self._sound_of, self.path, self.num_pictures / self.fps)
            except OSError as error:
                logger.warning(str(error))

    def __enter__(self) -> VideoRecorder:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def can_copy_sound() -> bool:
    """Whether ffmpeg is installed: OpenCV writes pictures only."""
    return shutil.which("ffmpeg") is not None


def copy_sound(original: Path, video: Path, seconds: float) -> None:
    """Give a video without sound the sound of another, if that has any; nothing is recompressed.

    Args:
        original: whose sound is taken.
        video: changed in place, or left alone if the sound cannot be taken over.
        seconds: after which the sound is cut off: the length of the video.

    Raises:
        OSError: with ffmpeg's reason, if the sound cannot be taken over.
    """
    options = ["-nostdin", "-loglevel", "error", "-y"]
    # "file:" because a name may look like an option or an address.
    inputs = ["-i", f"file:{video}", "-i", f"file:{original}"]
    streams = ["-map", "0:v", "-map", "1:a?", "-c", "copy", "-t", f"{seconds:.3f}"]
    with tempfile.TemporaryDirectory(prefix=".", dir=video.parent) as folder:
        combined = os.path.join(folder, video.name)
        done = subprocess.run(
            ["ffmpeg", *options, *inputs, *streams, f"file:{combined}"],
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            reason = " ".join(done.stderr.split()) or f"ffmpeg ended with code {done.returncode}"
            raise OSError(f"{video} is without sound: {reason}")
        os.replace(combined, video)
