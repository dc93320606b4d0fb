"""Faces of many images and videos -> result files and pictures."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from detectron2.structures import Instances

from df2s2_d2.images.errors import one_line
from df2s2_d2.inference.media.found_faces import FoundFaces, TrackedBoxes
from df2s2_d2.inference.media.frame_search import MOST_BYTES, THREADS, FrameSearch
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.held_frames import HeldFrames
from df2s2_d2.inference.media.look_ahead import map_ahead
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles, UnwritableResults
from df2s2_d2.inference.media.run_record import RunRecord
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.video import Video
from df2s2_d2.inference.tracking import MAX_GAP
from df2s2_d2.inference.tracking.face_tracker import FaceTracker


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
        num_images, num_frames: in which faces were looked for, of images and of videos.
        num_shown: faces that were found in them with a score above that of the pictures.
    """

    def __init__(
        self,
        predict: Callable[[list[np.ndarray]], list[Instances]],
        results: ResultFiles,
        pictures: Pictures,
        *,
        record: RunRecord,
        follow: Follow,
        batch_size: int,
        max_gap: float = MAX_GAP,
    ):
        """
        Args:
            predict: a Predictor for RGB images.
            results: takes all faces.
            pictures: makes the pictures.
            record: says what is to be looked at, and is told what was.
            follow: is given the pictures, of all images or of a video, as they become ready; None
                where there is none or nobody looks. It returns whether the run shall go on.
            batch_size: most frames that the network gets at once.
            max_gap: seconds for which a face of a video may be missing and still be on its track,
                or stay hidden.
        """
        self._search = FrameSearch(
            predict,
            batch_size=batch_size,
            report=lambda source, error: record.fail(source, str(error)),
        )
        self._results = results
        self._pictures = pictures
        self._follow = follow
        self._record = record
        self._batch_size = batch_size
        self._max_gap = max_gap
        counts = (record.checkpoint or {}).get("counts", (0, 0, 0))
        self.num_images, self.num_frames, self.num_shown = counts

    @property
    def failures(self) -> list[str]:
        """What went wrong, a sentence each."""
        return self._record.failures

    def run(self) -> None:
        """Look for faces in the images that remain, and then in one video after the other.

        Raises:
            OSError: if a result file or the record cannot be written.
        """
        record = self._record
        sources = record.remaining
        images = [source for source in sources if not source.is_video]
        record.is_complete = False
        goes_on = self._run_images(images) if images else True
        for video in (source for source in sources if source.is_video):
            if not goes_on:
                return
            goes_on = self._run_video(video)
        record.is_complete = goes_on

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
            pictures = self._finish_images(written)
            return self._follow(pictures, name="images", unit="image", total=len(sources))

    def _finish_images(
        self, written: Iterable[tuple[FoundFaces, np.ndarray | None]]
    ) -> Iterator[np.ndarray | None]:
        """The pictures of images, which are done as soon as these are written."""
        for found, picture in written:
            self._finish(found.frame.source, found.checkpoint)
            yield picture

    def _finish(self, source: Source, checkpoint: dict[str, Any] | None) -> None:
        if checkpoint is not None:
            self._record.finish(source, checkpoint)
            self._record.save(self._results.sync)

    def _run_video(self, source: Source) -> bool:
        """Look for faces in a video. Once any of its frames is in the results, it is done, even if
        it fails later: they would be there twice if it were tried again.
        """
        latest: list[dict[str, Any]] = []
        goes_on = True
        try:
            goes_on = self._run_frames(source, latest)
        except UnwritableResults:
            raise
        except OSError as error:
            self._record.fail(source, str(error))
        except Exception as error:
            self._record.fail(source, f"{source.path}: {one_line(error)}")
        if goes_on:
            self._finish(source, latest[0] if latest else None)
        return goes_on

    def _run_frames(self, source: Source, latest: list[dict[str, Any]]) -> bool:
        """
        Args:
            source: the video.
            latest: gets the checkpoint of the last frame in the results, as its only item.
        """
        with contextlib.ExitStack() as stack:
            video = stack.enter_context(Video(source))
            recorder = self._pictures.recorder(source, video.fps)
            if recorder is not None:
                stack.enter_context(recorder)

            def write(found: FoundFaces) -> np.ndarray | None:
                picture = self._pictures.make(found.frame, found.faces, found.hidden)
                if recorder is not None:
                    recorder.write(picture, found.frame.time)
                return self._shown(picture)

            def recorded(found: Iterable[tuple[Frame, Instances | None]]) -> Iterator[FoundFaces]:
                for faces in self._recorded(found, self._new_tracker()):
                    if faces.checkpoint is not None:
                        latest[:] = [faces.checkpoint]
                    yield faces

            found = self._search.in_video(video)
            stack.enter_context(contextlib.closing(found))
            ready = recorded(found)
            if self._pictures.hide is not None:
                held = HeldFrames(self._max_gap)
                stack.push(functools.partial(_write_rest, write, held))
                ready = held.through(ready)
            ahead = self._search.frames_ahead(video)
            written = map_ahead(write, ready, workers=1, ahead=ahead)
            stack.enter_context(contextlib.closing(written))
            name = Path(source.path).name
            return self._follow(written, name=name, unit="frame", total=video.num_frames)

    def _new_tracker(self) -> FaceTracker | None:
        """What tracks the faces of a video; None if nobody asks for that."""
        if not (self._results.has_tracks or self._pictures.hide is not None):
            return None
        return FaceTracker(threshold=self._pictures.threshold, max_gap=self._max_gap)

    def _recorded(
        self, found: Iterable[tuple[Frame, Instances | None]], tracker: FaceTracker | None = None
    ) -> Iterator[FoundFaces]:
        """Frames whose faces, if detection gave any, are in the results."""
        for frame, faces in found:
            yield FoundFaces(frame) if faces is None else self._add(frame, faces, tracker)

    def _add(self, frame: Frame, faces: Instances, tracker: FaceTracker | None) -> FoundFaces:
        """Put the faces of a frame into the results, unless they are unsound."""
        tracked = None
        try:
            if tracker is not None:
                boxes, scores = faces.pred_boxes.tensor.numpy(), faces.scores.numpy()
                ids = tracker.update(boxes, scores, frame.time)
                tracked = TrackedBoxes(ids[ids > 0], boxes[ids > 0])
                if self._results.has_tracks:
                    faces.track_ids = torch.from_numpy(ids)
            self._results.add(frame, faces)
        except ValueError as error:
            self._record.fail(frame.source, f"{frame}: {error}")
            return FoundFaces(frame)
        shown = faces[faces.scores > self._pictures.threshold]
        self.num_shown += len(shown)
        self.num_images += frame.index is None
        self.num_frames += frame.index is not None
        counts = (self.num_images, self.num_frames, self.num_shown)
        checkpoint = {"results": self._results.state(), "counts": counts}
        return FoundFaces(frame, shown, checkpoint, tracked)

    def _write_image(self, found: FoundFaces) -> tuple[FoundFaces, np.ndarray | None]:
        if found.faces is None:
            return found, None
        try:
            picture = self._pictures.make(found.frame, found.faces)
            self._pictures.write_image(found.frame, picture)
            return found, self._shown(picture)
        except Exception as error:  # Whatever hinders one picture, others go on.
            self._record.fail(found.frame.source, f"{found.frame}: {one_line(error)}")
            return found, None

    def _shown(self, picture: np.ndarray | None) -> np.ndarray | None:
        """Nobody keeps a picture in memory that nobody looks at."""
        return picture if self._pictures.is_shown else None


def _found_bytes(found: FoundFaces) -> int:
    return found.frame.image.nbytes


def _write_rest(
    write: Callable[[FoundFaces], Any],
    held: HeldFrames,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _traceback: TracebackType | None,
) -> None:
    """Write the frames that are still held when a video ends early: they are in the results.

    If an error ended it, which may be that of writing, no other one is to be told.
    """
    with contextlib.nullcontext() if error is None else contextlib.suppress(Exception):
        for found in held.rest():
            write(found)
