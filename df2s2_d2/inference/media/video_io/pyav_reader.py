"""Video files by PyAV, which is FFmpeg's libraries; streams while a connection to them lasts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from df2s2_d2.inference.media.video_io.containers import beginning, open_file, reason
from df2s2_d2.inference.media.video_io.orientation import upright
from df2s2_d2.inference.media.video_io.reader import VideoReader
from df2s2_d2.inference.media.video_io.video_faults import cut_short, is_less, unreadable

_ANY_SPACE = "DEFAULT"


class PyAvReader(VideoReader):
    """Reads the best video stream of a container, which is closed with it.

    A packet that cannot be decoded is passed over: those behind it may be whole.
    """

    def __init__(self, container: InputContainer, place: str):
        """
        Args:
            container: was opened, and is closed if it holds no pictures.
            place: what it is called in messages.

        Raises:
            OSError: if it holds no pictures; does not name it.
        """
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None or not stream.codec_context.width:
            container.close()
            raise OSError("no pictures that FFmpeg can decode")
        self._container = container
        self._stream = stream
        self._place = place
        self._reformatter = VideoReformatter()
        self._shown_until = 0.0  # seconds
        stream.thread_type = "AUTO"
        self._beginning = float(beginning(container))
        self.fps = float(stream.guessed_rate or 0)
        self.num_frames = stream.frames or None
        self.duration = _duration(container, stream)
        self.is_finite = container.duration is not None or (
            # Of a list of files it is the size of the list; of a stream, by PyAV, 0 or None.
            (container.size or 0) > 0 and container.format.name not in ("hls", "dash")
        )
        self.frame_bytes = 3 * stream.codec_context.width * stream.codec_context.height

    @classmethod
    def open_file(cls, path: Path) -> PyAvReader:
        """
        Raises:
            OSError: if it cannot be read; names it.
        """
        try:
            container = open_file(path)
        except av.error.FFmpegError as error:
            raise OSError(unreadable(path, "FFmpeg")) from error
        try:
            return cls(container, str(path))
        except OSError as error:
            raise OSError(f"The video {path} cannot be read: it holds {error}") from error

    def pictures(self) -> Iterator[tuple[np.ndarray, float | None]]:
        tick = self._stream.time_base
        for packet in self._packets():
            for frame in self._decoded(packet):
                seconds = None
                if frame.pts is not None:
                    seconds = float(frame.pts * tick) - self._beginning
                    shown_until = seconds + float((frame.duration or 0) * tick)
                    self._shown_until = max(self._shown_until, shown_until)
                yield self._pixels(frame), seconds

    def _packets(self) -> Iterator[av.Packet | None]:
        """The packets, and after the last of a container that breaks off None for what is left."""
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            self.broke_off = reason(error)
            yield None

    def _decoded(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        try:
            return self._stream.decode(packet)
        except (av.error.FFmpegError, EOFError):
            return []

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        # RGB has no such space, but PyAV 16 converts by the frame's only if another is named.
        rgb = self._reformatter.reformat(frame, format="rgb24", dst_colorspace=_ANY_SPACE)
        image = rgb.to_ndarray()
        matrix = frame.side_data.get("DISPLAYMATRIX")
        return upright(image, None if matrix is None else bytes(matrix))

    def fault(self, num_read: int) -> str | None:
        if num_read == 0:
            return unreadable(self._place, "FFmpeg")
        one_more = 1 / self.fps if self.fps else 0.0
        lacks_time = is_less(self._shown_until + one_more, self.duration)
        lacks_frames = is_less(num_read, self.num_frames)
        # Of a video that was trimmed without a copy the container counts the cut frames too.
        if lacks_frames and lacks_time is not False:
            return cut_short(self._place, f"frame {num_read} of {self.num_frames}")
        if lacks_time and lacks_frames is None:
            extent = f"{self._shown_until:.1f} of {self.duration:.1f} seconds"
            return cut_short(self._place, extent)
        if self.broke_off:
            return cut_short(self._place, f"frame {num_read} ({self.broke_off})")
        return None

    def close(self) -> None:
        self._container.close()


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds that the pictures take up, as far as the container says; sound may go on."""
    # Of containers that do not count frames FFmpeg takes the longest stream's.
    if stream.frames and stream.duration:
        return float(stream.duration * stream.time_base)
    # Matroska's, as hours, minutes and seconds.
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d*)?)", stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = map(float, tag.groups())
        return 3600 * hours + 60 * minutes + seconds
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None
