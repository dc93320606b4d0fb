"""Frames of images and videos -> what a predictor finds in them, ahead of who asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from df2s2_d2.images.errors import one_line
from df2s2_d2.inference.image_batches import BATCHES_TOGETHER, chunks, found_or_failed
from df2s2_d2.inference.media.frames import Frame, image_bytes, read_frame
from df2s2_d2.inference.media.look_ahead import iterate_ahead, map_ahead
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.video import Video

Found = TypeVar("Found")

# Bytes of images that are read ahead, go to the predictor at once, or wait to be written, whatever
# their number; each time one image may be more.
MOST_BYTES = 1 << 28
THREADS = 4


class FrameSearch(Generic[Found]):
    """Reads frames in the background while a predictor looks at those before.

    It holds frames that are bounded in number and in bytes. What fails is reported and stops
    nothing else, unless the report raises.

    Args:
        predict: gives what is found in each of several RGB images.
        batch_size: most frames that the network gets at once.
        report: is told of what goes wrong, with the source; of videos, also from other threads.
    """

    def __init__(
        self,
        predict: Callable[[list[np.ndarray]], list[Found]],
        *,
        batch_size: int,
        report: Callable[[Source, Exception], None],
    ):
        self._predict_images = predict
        self._batch_size = batch_size
        self._report = report

    def in_images(self, sources: Sequence[Source]) -> Iterator[tuple[Frame, Found | None]]:
        """What is found in each image file that can be read; None if the detector failed."""
        read = map_ahead(
            _read,
            sources,
            workers=THREADS,
            ahead=self._batch_size,
            cost=image_bytes,
            max_cost=MOST_BYTES,
        )
        with contextlib.closing(read):
            yield from self._detect(self._sound(read), BATCHES_TOGETHER * self._batch_size)

    def in_video(self, video: Video) -> Iterator[tuple[Frame, Found | None]]:
        """What is found in each frame of a video; None if the detector failed."""
        frames = video.frames(lambda message: self._report(video.source, OSError(message)))
        if not video.is_live:  # whose frames come when they come
            frames = iterate_ahead(frames, ahead=self.frames_ahead(video))
        # What a camera sees is shown at once.
        together = 1 if video.is_live else self._batch_size
        with contextlib.closing(frames):
            yield from self._detect(frames, together)

    def frames_ahead(self, video: Video) -> int:
        """How many frames of a video may wait at each step of their way."""
        if video.is_live:
            return 0
        return min(self._batch_size, MOST_BYTES // max(1, video.frame_bytes))

    def _sound(self, read: Iterable[tuple[Source, Frame | OSError]]) -> Iterator[Frame]:
        """The frames that could be read; the others are reported in their order."""
        for source, frame in read:
            if isinstance(frame, OSError):
                self._report(source, frame)
            else:
                yield frame

    def _detect(
        self, frames: Iterable[Frame], together: int
    ) -> Iterator[tuple[Frame, Found | None]]:
        """
        Args:
            frames: in any number.
            together: most frames that go to the predictor at once.
        """
        sized = ((frame, frame.image.nbytes) for frame in frames)
        for batch in chunks(sized, max_items=together, max_cost=MOST_BYTES):
            yield from zip(batch, self._predict(batch), strict=True)

    def _predict(self, frames: list[Frame]) -> list[Found | None]:
        results = found_or_failed(self._predict_images, [frame.image for frame in frames])
        for index, (frame, result) in enumerate(zip(frames, results, strict=True)):
            if isinstance(result, Exception):
                failure = RuntimeError(f"{frame}: the detector failed ({one_line(result)})")
                failure.__cause__ = result
                self._report(frame.source, failure)
                results[index] = None
        return results


def _read(source: Source) -> tuple[Source, Frame | OSError]:
    try:
        return source, read_frame(source)
    except OSError as error:
        return source, error
