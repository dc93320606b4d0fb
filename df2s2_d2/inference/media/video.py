"""Frames of a video file, a stream or a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.sources import Source, require_utf8
from df2s2_d2.inference.media.video_io import is_pyav_installed
from df2s2_d2.inference.media.video_io.reader import VideoReader

# For videos that do not tell their own; some cameras and containers say 0, or their time base.
DEFAULT_FPS = 25.0
_MOST_FPS = 1000.0
# Some files say 0 for every frame, or a time far off: within these seconds of the last frame, or
# of the end that the file announces, a time is believed.
_LONGEST_STILL = 60.0
_TOLERATED_EXCESS = 1.0


class Video:
    """The frames of a video file, a stream or a camera, in the order of time.

    Attributes:
        fps: frames a second.
        num_frames, duration: as the file announces them, the latter in seconds; None if unknown.
        frame_bytes: of a frame in memory; 0 if unknown.
        is_live: whether frames come at their own pace, and are lost if they are not taken.
    """

    def __init__(self, source: Source):
        """
        Raises:
            OSError: if it cannot be opened; names it.
        """
        self.source = source
        self._reader = _open(source)
        fps = self._reader.fps
        self.fps = fps if 0 < fps <= _MOST_FPS else DEFAULT_FPS
        self.is_live = self._reader.is_live
        self.num_frames = None if self.is_live else self._reader.num_frames
        self.duration = None if self.is_live else self._reader.duration
        if self.duration is None and self.num_frames is not None:
            self.duration = self.num_frames / self.fps
        self.frame_bytes = self._reader.frame_bytes

    def frames(self, report: Callable[[str], None]) -> Iterator[Frame]:
        """Read until the end, or for as long as the source is to be looked at.

        Times of a file rise: one that cannot be true is replaced by what the frame rate says.

        Args:
            report: told in a sentence if the video ends too early.
        """
        number = 0
        seconds = -1 / self.fps
        limit = self.source.live.duration
        for image, told in self._reader.pictures():
            is_sound = self.is_live or self._may_follow(seconds, told)
            seconds = told if is_sound else seconds + 1 / self.fps
            if limit is not None and not self.source.is_file and seconds >= limit:
                return
            yield Frame(self.source, image, number, seconds)
            number += 1
        fault = self._reader.fault(number)
        if fault is not None:
            report(fault)

    def _may_follow(self, seconds: float, told: float | None) -> bool:
        """Whether the time that a file tells may be true after that of the frame before."""
        if told is None or not max(seconds, -1e-9) < told:
            return False
        duration = self._reader.duration
        is_announced = duration is not None and told <= duration + _TOLERATED_EXCESS
        return is_announced or told - seconds <= _LONGEST_STILL

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _open(source: Source) -> VideoReader:
    """What reads a source. Libraries are imported when they are needed: PyAV is optional.

    Raises:
        OSError: if it cannot be opened; names it.
    """
    if source.camera is not None:
        from df2s2_d2.inference.media.video_io.opencv_reader import CameraReader

        return CameraReader(source.camera)
    if source.address is not None:
        from df2s2_d2.inference.media.video_io.streams import open_stream

        live = source.live
        return open_stream(
            source.address, str(source.path), patience=live.reconnect, duration=live.duration
        )
    require_utf8(source.path)
    if not source.path.exists():
        raise OSError(f"The video {source.path} does not exist")
    if is_pyav_installed():
        from df2s2_d2.inference.media.video_io.pyav_reader import PyAvReader

        return PyAvReader.open_file(source.path)
    from df2s2_d2.inference.media.video_io.opencv_reader import OpenCvFileReader

    return OpenCvFileReader(source.path)
