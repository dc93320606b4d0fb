"""Videos written by PyAV: H.264 as browsers play it, with sound, each picture at its own time."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter

from df2s2_d2.inference.media.video_io.containers import open_file, reason
from df2s2_d2.inference.media.video_io.sound import Sound
from df2s2_d2.inference.media.video_io.writer import VideoWriter, unwritable

logger = logging.getLogger(__name__)

CODEC = "libx264"
# No B-frames: they are stored in another order than they are shown in, and players take the length
# of a video from the former, which is wrong where the rate varies.
_CODEC_OPTIONS = {"preset": "veryfast", "crf": "20", "bf": "0"}
# The index at the beginning, so that a browser plays while it loads.
_CONTAINER_OPTIONS = {"movflags": "+faststart"}
# Said in the file, as players would guess it from the size: FFmpeg's numbers.
_BT709, _LIMITED_RANGE = 1, 1
# Into how many steps of time a second is divided, at least.
_LEAST_STEPS = 10_000
_LEAST_RATE = Fraction(1, 1001)


class PyAvWriter(VideoWriter):
    """Encodes pictures as they come, and hands on the sound that belongs to them."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int], original: Path | None = None):
        """
        Args:
            path: of the file.
            fps: pictures a second, as far as their times do not say otherwise.
            size: width and height, even.
            original: a video whose sound and shape of pixels are taken over.

        Raises:
            OSError: if it cannot be written; names it.
        """
        self._path = path
        self._size = size
        # Of one picture in half an hour, too, it is not 0.
        self._rate = max(Fraction(fps).limit_denominator(1001), _LEAST_RATE)
        # A multiple of the rate, so that the times of a constant one are exact.
        steps = self._rate.numerator
        self._time_base = Fraction(1, steps * math.ceil(_LEAST_STEPS / steps))
        self._period = round(1 / self._rate / self._time_base)
        self._next = 0  # the time of a picture that comes without one, in steps
        self._latest = -1
        self._reformatter = VideoReformatter()
        self._original = None if original is None else _opened(original)
        with self._naming_the_file():
            try:
                self._begin(self._original)
            except av.error.FFmpegError as error:
                if self._original is None:
                    raise
                self._warn_of_silence(error)
                self._begin(None)

    def _begin(self, original: InputContainer | None) -> None:
        """Write what stands before the first picture."""
        self._container = av.open(
            f"file:{self._path}", "w", format="mp4", container_options=_CONTAINER_OPTIONS
        )
        self._stream = self._container.add_stream(CODEC, rate=self._rate, options=_CODEC_OPTIONS)
        encoder = self._stream.codec_context
        encoder.width, encoder.height = self._size
        encoder.pix_fmt = "yuv420p"
        encoder.time_base = self._time_base
        encoder.colorspace = encoder.color_primaries = encoder.color_trc = _BT709
        encoder.color_range = _LIMITED_RANGE
        encoder.sample_aspect_ratio = self._shape_of_pixels(original)
        self._sound = None if original is None else Sound(original, self._container)
        self._container.start_encoding()

    def _shape_of_pixels(self, original: InputContainer | None) -> Fraction:
        """Width by height of a pixel as it is to be shown."""
        stream = None if original is None else original.streams.best("video")
        shape = None if stream is None else stream.sample_aspect_ratio
        if not shape:
            return Fraction(1)
        width, height = self._size
        was_turned = (stream.codec_context.width > stream.codec_context.height) != (width > height)
        return 1 / shape if was_turned else shape

    def write(self, picture: np.ndarray, time: float | None) -> None:
        step = self._next if time is None else round(time / self._time_base)
        # Two pictures cannot have one time.
        step = max(step, self._latest + 1)
        self._next, self._latest = step + self._period, step
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        with self._naming_the_file():
            frame = self._reformatter.reformat(
                frame, format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE
            )
            frame.pts, frame.time_base = step, self._time_base
            self._mux(frame)
        self._hand_on_sound(float(step * self._time_base))

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            packet.duration = self._period  # of the last one; others last until the next
            self._container.mux(packet)

    def _hand_on_sound(self, until: float, is_end: bool = False) -> None:
        if self._sound is None:
            return
        try:
            (self._sound.finish if is_end else self._sound.hand_on)(until)
        except av.error.FFmpegError as error:
            self._sound = None
            self._warn_of_silence(error, until)

    def _warn_of_silence(self, error: Exception, since: float = 0.0) -> None:
        start = f" from second {since:.1f} on" if since else ""
        logger.warning("%s is without sound%s: %s", self._path, start, reason(error))

    def close(self) -> None:
        with self._naming_the_file(), contextlib.ExitStack() as stack:
            if self._original is not None:
                stack.callback(self._original.close)
            stack.callback(self._container.close)
            self._mux(None)
            self._hand_on_sound(float(self._next * self._time_base), is_end=True)

    @contextlib.contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError as error:
            raise OSError(unwritable(self._path, *self._size, reason(error))) from error


def _opened(original: Path) -> InputContainer | None:
    try:
        return open_file(original)
    except av.error.FFmpegError as error:
        logger.warning("The sound of %s cannot be read: %s", original, reason(error))
        return None
