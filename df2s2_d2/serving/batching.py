"""Images of several requests -> a detector that looks at them together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.image_batches import found_or_failed

# Decoding leaves Python's lock to others.
_DECODERS = 4


class DetectorFailure(RuntimeError):
    """The detector raised an error at an image that it should have taken."""


@dataclass(frozen=True)
class _Waiting:
    """An image on its way to the detector.

    Attributes:
        load: gives its pixels.
        num_pixels: that it will have.
        future: gets the faces in it.
    """

    load: Callable[[], np.ndarray]
    num_pixels: int
    future: Future[Faces]


class Batcher:
    """A thread that gives whatever waits to a detector: one image if one waits, else several.

    So nobody waits for company, and a detector that is busy gets full batches. Of the images that
    wait none is in memory decoded; those that are looked at have a bounded number of pixels, and
    each gets the faces that it gets alone. How many wait is for the caller to bound.

    Attributes:
        batch_size: see below.

    Args:
        detect: gives the faces in each of several RGB images; called in one thread.
        batch_size: most images that are looked at together.
        max_pixels: of these together; an image with more is one by itself.
        report: told the number of images and the seconds of each batch.
    """

    def __init__(
        self,
        detect: Callable[[list[np.ndarray]], list[Faces]],
        *,
        batch_size: int,
        max_pixels: int,
        report: Callable[[int, float], None] = lambda num_images, seconds: None,
    ):
        self._detect = detect
        self.batch_size = batch_size
        self._max_pixels = max_pixels
        self._report = report
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._decoders = ThreadPoolExecutor(_DECODERS, "decoder")
        self._thread = threading.Thread(target=self._run, name="detector", daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """Images that no batch has taken yet."""
        return len(self._waiting)

    @property
    def is_alive(self) -> bool:
        """Whether images are still looked at."""
        return self._thread.is_alive() and not self._is_closed

    def submit(self, load: Callable[[], np.ndarray], num_pixels: int) -> Future[Faces]:
        """Let an image be looked at.

        Args:
            load: gives (H, W, 3) uint8 RGB; called in another thread, and not at all if the future
                is cancelled before.
            num_pixels: H x W.

        Returns:
            The faces; else what ``load`` raises, or a :class:`DetectorFailure`.

        Raises:
            RuntimeError: if the batcher is closed.
        """
        waiting = _Waiting(load, num_pixels, Future())
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the batcher is closed")
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.future

    def close(self) -> None:
        """Look at what waits, and end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()
        self._decoders.shutdown()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _run(self) -> None:
        while batch := self._take():
            self._answer(batch)

    def _take(self) -> list[_Waiting]:
        """The next images; none once the batcher is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            batch: list[_Waiting] = []
            num_pixels = 0
            while self._waiting and len(batch) < self.batch_size:
                num_pixels += self._waiting[0].num_pixels
                if batch and num_pixels > self._max_pixels:
                    break
                batch.append(self._waiting.popleft())
            return batch

    def _answer(self, batch: list[_Waiting]) -> None:
        wanted = [item for item in batch if item.future.set_running_or_notify_cancel()]
        loaded = [self._decoders.submit(item.load) for item in wanted]
        images, futures = [], []
        for item, pixels in zip(wanted, loaded, strict=True):
            if (error := pixels.exception()) is not None:
                item.future.set_exception(error)
            else:
                images.append(pixels.result())
                futures.append(item.future)
        if not images:
            return
        started = time.perf_counter()
        found = found_or_failed(self._detect, images)
        self._report(len(images), time.perf_counter() - started)
        for future, faces in zip(futures, found, strict=True):
            if isinstance(faces, Exception):
                failure = DetectorFailure(f"the detector failed ({type(faces).__name__}: {faces})")
                failure.__cause__ = faces
                future.set_exception(failure)
            else:
                future.set_result(faces)
