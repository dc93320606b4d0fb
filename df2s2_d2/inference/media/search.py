"""Folders and videos as an iterator over what is found in each of their images and frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from df2s2_d2.images.errors import one_line
from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.media.frame_search import FrameSearch
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.video import Video

logger = logging.getLogger(__name__)

Detections = TypeVar("Detections")


@dataclass(frozen=True, eq=False)
class SearchResult(Generic[Detections]):
    """What was found in an image file or in a frame of a video.

    Attributes:
        path: of the file; of a stream its address as a text, without user and password.
        frame: number in the video, from 0; None for an image.
        time: seconds since the beginning of the video; None for an image.
        image: (H, W, 3) uint8 RGB, upright.
        detections: as the predictor gives them for one image.
        faces: the same as :class:`~df2s2_d2.inference.faces.Faces`.
    """

    path: Path | str
    frame: int | None
    time: float | None
    image: np.ndarray
    detections: Detections
    faces: Faces

    def __repr__(self) -> str:
        place = "" if self.frame is None else f", frame {self.frame}"
        return f"SearchResult({self.path}{place}: {self.faces})"


class Search(Iterator[SearchResult[Detections]]):
    """Looks through images, and then through videos, while it is iterated over.

    Nothing is read before the first result is asked for. Files are read ahead in the background,
    bounded in number and bytes; a result holds its image only as long as it is kept. As ``df2s2
    detect`` does, a search passes over what cannot be read, in whole or from some frame on, and
    over images that the detector fails in: each is logged as a warning and noted in ``failures``.

    Args:
        sources: the files.
        predict: gives the detections in each of several RGB images.
        as_faces: makes faces of detections.
        batch_size: most images that the network gets at once.
        strict: whether the first failure is raised instead.

    Attributes:
        num_images, num_videos: how many files there are.
        failures: what was passed over so far and why, a sentence each.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        predict: Callable[[list[np.ndarray]], list[Detections]],
        as_faces: Callable[[Detections], Faces],
        batch_size: int,
        strict: bool = False,
    ):
        self.num_videos = sum(source.is_video for source in sources)
        self.num_images = len(sources) - self.num_videos
        report = _Report(strict)
        self.failures = report.failures
        # Nothing in there refers to the search, so that it ends as soon as nobody has it any more:
        # a garbage collector might end it in one of its own threads, which cannot wait for itself.
        frames = FrameSearch(predict, batch_size=batch_size, report=report)
        self._results = _look_through(sources, frames, as_faces, report)

    def __next__(self) -> SearchResult[Detections]:
        return next(self._results)

    def close(self) -> None:
        """End the search before its end; the video that is open is closed."""
        self._results.close()

    def __repr__(self) -> str:
        return f"Search(images: {self.num_images}, videos: {self.num_videos}; iterate over it)"


class _Report:
    """Notes what fails, or raises it."""

    def __init__(self, strict: bool):
        self.strict = strict
        self.failures: list[str] = []

    def __call__(self, _: Source, error: Exception) -> None:
        if self.strict:
            raise error
        self.failures.append(str(error))
        logger.warning("Passed over: %s", error)


def _look_through(
    sources: Sequence[Source],
    frames: FrameSearch[Detections],
    as_faces: Callable[[Detections], Faces],
    report: _Report,
) -> Iterator[SearchResult[Detections]]:
    images = [source for source in sources if not source.is_video]
    yield from _results(frames.in_images(images), as_faces, report)
    for source in sources:
        if not source.is_video:
            continue
        try:
            with Video(source) as video:
                yield from _results(frames.in_video(video), as_faces, report)
        except Exception as error:
            if report.strict:
                raise
            names_it = isinstance(error, OSError)
            report(source, error if names_it else OSError(f"{source.path}: {one_line(error)}"))


def _results(
    found: Iterator[tuple[Frame, Detections | None]],
    as_faces: Callable[[Detections], Faces],
    report: _Report,
) -> Iterator[SearchResult[Detections]]:
    """The results of frames that the detector did not fail in."""
    for frame, detections in found:
        if detections is None:
            continue
        try:
            faces = as_faces(detections)
        except ValueError as error:
            report(frame.source, ValueError(f"{frame}: {error}"))
            continue
        path, index, time = frame.source.path, frame.index, frame.time
        yield SearchResult(path, index, time, frame.image, detections, faces)
