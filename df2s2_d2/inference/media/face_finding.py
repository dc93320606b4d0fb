"""Faces of many images and videos -> result files and pictures."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from detectron2.structures import Instances

from df2s2_d2.inference.image_batches import BATCHES_TOGETHER, chunks
from df2s2_d2.inference.media.frames import Frame, image_bytes, read_frame
from df2s2_d2.inference.media.look_ahead import iterate_ahead, map_ahead
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles, UnwritableResults
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.video import Video

# Bytes of images that are read ahead, go to the predictor at once, or wait to be written, whatever
# their number; each time one image may be more.
_MOST_BYTES = 1 << 28
_THREADS = 4


class Follow(Protocol):
    """Consumes pictures, (H, W, 3) uint8 RGB or None, as they become ready.

    Args:
        pictures: of images or of a video.
        name: of what they are.
        unit: of their number.
        total: how many there will be; None if unknown.

    Returns:
        Whether to go on.
    """

    def __call__(
        self, pictures: Iterable[np.ndarray | None], *, name: str, unit: str, total: int | None
    ) -> bool: ...


class FaceFinding:
    """A run: frames through a predictor, and what it finds into files.

    Reading, detecting and writing overlap, and each holds frames that are bounded in number and in
    bytes. What fails is noted and stops nothing else, but for result files that cannot be written.

    Attributes:
        failures: what went wrong, a sentence each.
        num_images, num_frames: in which faces were looked for, of images and of videos.
        num_shown: faces that were found in them with a score above that of the pictures.
    """

    def __init__(
        self,
        predict: Callable[[list[np.ndarray]], list[Instances]],
        results: ResultFiles,
        pictures: Pictures,
        *,
        follow: Follow,
        batch_size: int,
    ):
        """
        Args:
            predict: a Predictor for RGB images.
            results: takes all faces.
            pictures: makes the pictures.
            follow: is given the pictures, of all images or of a video, as they become ready; None
                where there is none or nobody looks. It returns whether the run shall go on.
            batch_size: most frames that the network gets at once.
        """
        self._predict_images = predict
        self._results = results
        self._pictures = pictures
        self._follow = follow
        self._batch_size = batch_size
        self.failures: list[str] = []
        self.num_images = self.num_frames = self.num_shown = 0

    def run(self, sources: Sequence[Source]) -> None:
        """Look for faces in the images, and then in one video after the other.

        Raises:
            UnwritableResults: if a result file cannot be written.
        """
        images = [source for source in sources if not source.is_video]
        goes_on = self._run_images(images) if images else True
        for video in (source for source in sources if source.is_video):
            if not goes_on:
                return
            try:
                goes_on = self._run_video(video)
            except UnwritableResults:
                raise
            except OSError as error:
                self.failures.append(str(error))
            except Exception as error:
                self.failures.append(f"{video.path}: {_reason(error)}")

    def _run_images(self, sources: Sequence[Source]) -> bool:
        in_background = functools.partial(
            map_ahead, workers=_THREADS, ahead=self._batch_size, max_cost=_MOST_BYTES
        )
        with contextlib.ExitStack() as stack:
            read = in_background(self._read, sources, cost=image_bytes)
            stack.enter_context(contextlib.closing(read))
            frames = (frame for frame in read if frame is not None)
            detected = self._detect(frames, BATCHES_TOGETHER * self._batch_size)
            written = in_background(self._write_image, detected, cost=_found_bytes)
            stack.enter_context(contextlib.closing(written))
            return self._follow(written, name="images", unit="image", total=len(sources))

    def _run_video(self, source: Source) -> bool:
        with contextlib.ExitStack() as stack:
            video = stack.enter_context(Video(source))
            batch_size = self._batch_size
            ahead = min(batch_size, _MOST_BYTES // max(1, video.frame_bytes))
            if source.camera is not None:  # What it sees is shown at once.
                ahead, batch_size = 0, 1
            recorder = self._pictures.recorder(source, video.fps)
            if recorder is not None:
                stack.enter_context(recorder)

            def write(found: tuple[Frame, Instances | None]) -> np.ndarray | None:
                picture = self._pictures.make(*found)
                if recorder is not None:
                    recorder.write(picture, found[0].time)
                return self._shown(picture)

            frames = iterate_ahead(video.frames(self.failures.append), ahead=ahead)
            stack.enter_context(contextlib.closing(frames))
            written = map_ahead(write, self._detect(frames, batch_size), workers=1, ahead=ahead)
            stack.enter_context(contextlib.closing(written))
            name = source.path.name
            return self._follow(written, name=name, unit="frame", total=video.num_frames)

    def _read(self, source: Source) -> Frame | None:
        try:
            return read_frame(source)
        except OSError as error:
            self.failures.append(str(error))
            return None

    def _detect(
        self, frames: Iterable[Frame], together: int
    ) -> Iterator[tuple[Frame, Instances | None]]:
        """Frames with their faces above the threshold of the pictures; None if detection failed.

        Args:
            frames: in any number.
            together: most frames that go to the predictor at once.
        """
        sized = ((frame, frame.image.nbytes) for frame in frames)
        for batch in chunks(sized, max_items=together, max_cost=_MOST_BYTES):
            for frame, faces in zip(batch, self._predict(batch), strict=True):
                yield frame, None if faces is None else self._record(frame, faces)

    def _record(self, frame: Frame, faces: Instances) -> Instances | None:
        """Write the faces of a frame; gives back those to be shown, None if they are unsound."""
        try:
            self._results.add(frame, faces)
        except ValueError as error:
            self.failures.append(f"{frame}: {error}")
            return None
        shown = faces[faces.scores > self._pictures.threshold]
        self.num_shown += len(shown)
        self.num_images += frame.index is None
        self.num_frames += frame.index is not None
        return shown

    def _predict(self, frames: list[Frame]) -> list[Instances | None]:
        try:
            return self._predict_images([frame.image for frame in frames])
        except Exception as error:  # Whatever an image does to the detector, others go on.
            if len(frames) > 1:
                return [faces for frame in frames for faces in self._predict([frame])]
            self.failures.append(f"{frames[0]}: the detector failed ({_reason(error)})")
            return [None]

    def _write_image(self, found: tuple[Frame, Instances | None]) -> np.ndarray | None:
        frame, faces = found
        if faces is None:
            return None
        try:
            picture = self._pictures.make(frame, faces)
            self._pictures.write_image(frame, picture)
            return self._shown(picture)
        except Exception as error:  # Whatever hinders one picture, others go on.
            self.failures.append(f"{frame}: {_reason(error)}")
            return None

    def _shown(self, picture: np.ndarray | None) -> np.ndarray | None:
        """Nobody keeps a picture in memory that nobody looks at."""
        return picture if self._pictures.is_shown else None


def _found_bytes(found: tuple[Frame, Instances | None]) -> int:
    return found[0].image.nbytes


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
