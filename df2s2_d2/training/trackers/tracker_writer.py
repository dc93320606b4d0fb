"""A tracker of experiments beside detectron2's writers, which a training does not depend on."""

from __future__ import annotations

import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.utils.events import EventStorage, EventWriter, get_event_storage

from df2s2_d2.training.trackers.run_ids import read_run_id, write_run_id
from df2s2_d2.training.trackers.tracker import TrackedRun, Tracker

logger = logging.getLogger(__name__)

# Messages that may wait for a slow tracker; as many reports, of 20 steps each, are hours.
_MOST_WAITING = 1000
_SECONDS_TO_FINISH = 60.0
_WINDOW = 20  # steps that figures are smoothed over, as in metrics.json


class TrackerWriter(EventWriter):
    """Hands what metrics.json gets, and TensorBoard's pictures, to a tracker.

    The tracker works in a thread of its own: neither its start, nor a server that is slow, gone or
    refuses, holds the training up or ends it. What is lost is told in the log.

    To be put before detectron2's TensorboardXWriter, which removes the pictures it has written.

    Args:
        name: of the tracker.
        begin: makes it of a run.
        folder: OUTPUT_DIR of the run.
        settings: its config, nested, of plain values.
        max_iter: after which it is complete.
        is_resumed: asked at the first report: whether the run goes on with the one before.
        seconds_to_finish: that the end of a training waits for what is still to be sent.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[TrackedRun], Tracker],
        folder: Path,
        settings: dict[str, Any],
        max_iter: int,
        is_resumed: Callable[[], bool],
        seconds_to_finish: float = _SECONDS_TO_FINISH,
    ):
        self._name = name
        self._begin = begin
        self._folder = folder
        self._settings = settings
        self._max_iter = max_iter
        self._is_resumed = is_resumed
        self._seconds_to_finish = seconds_to_finish
        self._last_write = -1
        # What the tracker is to do; None is the last.
        self._waiting: queue.SimpleQueue[Callable[[Tracker], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._num_lost = 0

    def write(self) -> None:
        storage = get_event_storage()
        if self._thread is None:
            resumed = self._is_resumed()
            self._thread = threading.Thread(
                target=self._work, args=(resumed,), name=f"tracker-{self._name}", daemon=True
            )
            self._thread.start()
        for iteration, figures in self._new_figures(storage).items():
            self._hand_over(methodcaller("log", iteration, figures))
        # detectron2 keeps them for the writer of TensorBoard alone.
        for name, picture, iteration in storage._vis_data:
            self._hand_over(methodcaller("log_picture", iteration, name, as_picture(picture)))

    def close(self) -> None:
        if self._thread is None:
            return
        is_complete = get_event_storage().iter >= self._max_iter
        self._waiting.put(methodcaller("finish", is_complete))
        self._waiting.put(None)
        self._thread.join(self._seconds_to_finish)
        if self._thread.is_alive():
            logger.warning(
                f"{self._name} has not taken all figures within {self._seconds_to_finish:g} s "
                "after the training: metrics.json has them"
            )
        elif self._num_lost:
            logger.warning(f"{self._name} lacks {self._num_lost} reports: metrics.json has them")

    def _new_figures(self, storage: EventStorage) -> dict[int, dict[str, float]]:
        """Iteration -> figures since the last report, as detectron2's JSONWriter has them."""
        rows: dict[int, dict[str, float]] = defaultdict(dict)
        for name, (value, iteration) in storage.latest_with_smoothing_hint(_WINDOW).items():
            if iteration > self._last_write:
                rows[iteration][name] = value
        self._last_write = max(rows, default=self._last_write)
        return dict(sorted(rows.items()))

    def _hand_over(self, call: Callable[[Tracker], None]) -> None:
        if self._waiting.qsize() < _MOST_WAITING:
            self._waiting.put(call)
        else:
            self._lose(f"it does not keep up with {_MOST_WAITING} reports")

    def _lose(self, reason: object) -> None:
        with self._lock:
            self._num_lost += 1
            is_first = self._num_lost == 1
        if is_first:
            words = " ".join(str(reason).split()) or type(reason).__name__
            logger.warning(f"{self._name} fails, and the training goes on without it: {words}")

    def _work(self, resumed: bool) -> None:
        tracker = None
        try:
            run_id = read_run_id(self._folder, self._name) if resumed else None
            tracker = self._begin(TrackedRun(self._folder, self._settings, run_id))
            write_run_id(self._folder, self._name, tracker.id)
        except Exception as error:  # of many kinds, as each tracker has its own
            self._lose(error)
        while (call := self._waiting.get()) is not None:
            try:
                if tracker is None:
                    raise RuntimeError("It was not begun")
                call(tracker)
            except Exception as error:
                self._lose(error)


def as_picture(picture: np.ndarray) -> np.ndarray:
    """A picture of detectron2's EventStorage as trackers take it.

    Args:
        picture: (3, H, W), RGB: uint8, or floats from 0 to 1; also as a tensor.

    Returns:
        (H, W, 3), uint8.
    """
    array = np.asarray(picture)
    if array.dtype != np.uint8:
        array = (array * 255).round().clip(0, 255).astype(np.uint8)
    return array.transpose(1, 2, 0)
