"""Faces of many images and videos -> result files and pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from detectron2.structures import Instances

from df2s2_d2.images.errors import one_line
from df2s2_d2.inference.media.frame_search import MOST_BYTES, THREADS, FrameSearch
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.look_ahead import map_ahead
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles, UnwritableResults
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.video import Video


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
        self._search = FrameSearch(
            predict,
            batch_size=batch_size,
            report=lambda _, error: self.failures.append(str(error)),
        )
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
                self.failures.append(f"{video.path}: {one_line(error)}")

    def _run_images(self, sources: Sequence[Source]) -> bool:
        with contextlib.ExitStack() as stack:
            found = self._search.in_images(sources)
            stack.enter_context(contextlib.closing(found))
            written = map_ahead(
                self._write_image,
                self._recorded(found),
                workers=THREADS,
                ahead=self._batch_size,
                cost=_found_bytes,
                max_cost=MOST_BYTES,
            )
            stack.enter_context(contextlib.closing(written))
            return self._follow(written, name="images", unit="image", total=len(sources))

    def _run_video(self, source: Source) -> bool:
        with contextlib.ExitStack() as stack:
            video = stack.enter_context(Video(source))
            recorder = self._pictures.recorder(source, video.fps)
            if recorder is not None:
                stack.enter_context(recorder)

            def write(found: tuple[Frame, Instances | None]) -> np.ndarray | None:
                picture = self._pictures.make(*found)
                if recorder is not None:
                    recorder.write(picture, found[0].time)
                return self._shown(picture)

            found = self._search.in_video(video)
            stack.enter_context(contextlib.closing(found))
            ahead = self._search.frames_ahead(video)
            written = map_ahead(write, self._recorded(found), workers=1, ahead=ahead)
            stack.enter_context(contextlib.closing(written))
            name = source.path.name
            return self._follow(written, name=name, unit="frame", total=video.num_frames)

    def _recorded(
        self, found: Iterable[tuple[Frame, Instances | None]]
    ) -> Iterator[tuple[Frame, Instances | None]]:
        """Frames with their faces above the threshold of the pictures; None if detection failed."""
        for frame, faces in found:
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

    def _write_image(self, found: tuple[Frame, Instances | None]) -> np.ndarray | None:
        frame, faces = found
        if faces is None:
            return None
        try:
            picture = self._pictures.make(frame, faces)
            self._pictures.write_image(frame, picture)
            return self._shown(picture)
        except Exception as error:  # Whatever hinders one picture, others go on.
            self.failures.append(f"{frame}: {one_line(error)}")
            return None

    def _shown(self, picture: np.ndarray | None) -> np.ndarray | None:
        """Nobody keeps a picture in memory that nobody looks at."""
        return picture if self._pictures.is_shown else None


def _found_bytes(found: tuple[Frame, Instances | None]) -> int:
    return found[0].image.nbytes
