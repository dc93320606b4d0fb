"""Videos that strangers send -> the faces in their frames, as they are found."""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from starlette.concurrency import run_in_threadpool

from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.media.frame_search import MOST_BYTES
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.video import Video
from df2s2_d2.serving.batching import Batcher
from df2s2_d2.serving.limits import Limits
from df2s2_d2.serving.problems import RequestProblem

# Where the files of a container begin with which bytes. Playlists and other texts are none: they
# can name further files and addresses, which a decoder would open.
_SIGNATURES = (
    *((4, kind) for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),  # MP4, MOV
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (8, b"AVI "),
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"0&\xb2u\x8ef\xcf\x11"),  # ASF, WMV
    (0, b"FLV\x01"),
    (0, b"OggS"),
)
# Times are fractions of a second that need not be binary ones.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class FoundFrame:
    """The faces of one frame.

    Attributes:
        index: of the frame in the video, from 0.
        time: in seconds since its beginning.
        faces: of any score.
    """

    index: int
    time: float
    faces: Faces


class VideoUpload:
    """A video, in a temporary file until it is closed.

    Attributes:
        problem: what ended the video before its end, in a sentence; None if nothing has.

    Args:
        file: what was sent, whatever it is.
        limits: of the service.

    Raises:
        RequestProblem: if it is no video, or a larger one than the limits allow.
    """

    def __init__(self, file: BinaryIO, limits: Limits):
        head = file.read(16)
        if not any(head[start:].startswith(mark) for start, mark in _SIGNATURES):
            raise RequestProblem(
                415, "The file is no video: send one as MP4, MOV, WebM, Matroska or AVI."
            )
        file.seek(0)
        self.problem: str | None = None
        self._limits = limits
        # Its name is ours; what the client calls it is never a path.
        self._folder = tempfile.TemporaryDirectory(prefix="df2s2_")
        self._video: Video | None = None
        try:
            path = Path(self._folder.name) / "video"
            with path.open("wb") as copy:
                shutil.copyfileobj(file, copy)
            self._video = _open(path)
            if (self._video.duration or 0) > limits.video_seconds:
                raise RequestProblem(413, self._too_long)
            self._check_size(self._video.frame_bytes // 3)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the file."""
        if self._video is not None:
            self._video.close()
        self._folder.cleanup()

    def frames(self, per_second: float) -> Iterator[Frame]:
        """Read the frames that are to be looked at.

        Args:
            per_second: how many of them.

        Raises:
            RequestProblem: if the frames are larger than the limits allow.
        """
        latest = -1
        for frame in self._video.frames(self._report):
            if frame.time > self._limits.video_seconds:
                self.problem = self._too_long
                return
            self._check_size(frame.image.shape[0] * frame.image.shape[1])
            step = int(frame.time * per_second + _ROUNDING)
            if step > latest:
                latest = step
                yield frame

    async def search(self, batcher: Batcher, per_second: float) -> AsyncIterator[FoundFrame]:
        """Look for faces, a few frames ahead.

        Args:
            batcher: looks at the frames, beside those of others.
            per_second: how many of them.

        Raises:
            RequestProblem: see :meth:`frames`.
            DetectorFailure: if the detector fails.
        """
        pending: deque[tuple[Frame, asyncio.Future[Faces]]] = deque()
        frames = self.frames(per_second)
        try:
            while (frame := await run_in_threadpool(next, frames, None)) is not None:
                height, width = frame.image.shape[:2]
                faces = batcher.submit(functools.partial(_image_of, frame), height * width)
                pending.append((frame, asyncio.wrap_future(faces)))
                num_bytes = len(pending) * frame.image.nbytes
                if len(pending) == batcher.batch_size or num_bytes >= MOST_BYTES:
                    yield await _oldest(pending)
            while pending:
                yield await _oldest(pending)
        finally:
            for _, faces in pending:
                faces.cancel()

    def _report(self, _: str) -> None:
        self.problem = "The video cannot be read to its end: it is damaged or cut short."

    def _check_size(self, num_pixels: int) -> None:
        most = self._limits.image_pixels
        if num_pixels > most:
            raise RequestProblem(
                413, f"The video has more than {most / 1e6:g} million pixels: send a smaller one."
            )

    @property
    def _too_long(self) -> str:
        return f"The video is longer than {self._limits.video_seconds:g} s: send a part of it."


def _open(path: Path) -> Video:
    try:
        return Video(Source(path, PurePosixPath(path.name)))
    except OSError:  # whose sentence names our file, which is no help to its sender
        raise RequestProblem(
            422, "The video cannot be read: it is broken, or of an unknown codec."
        ) from None


def _image_of(frame: Frame) -> np.ndarray:
    return frame.image


async def _oldest(pending: deque[tuple[Frame, asyncio.Future[Faces]]]) -> FoundFrame:
    frame, faces = pending[0]
    found = FoundFrame(frame.index, frame.time, await faces)
    pending.popleft()
    return found
