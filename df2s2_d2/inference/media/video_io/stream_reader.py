"""Streams that go on: their frames as they come, through as many connections as it takes."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic

import numpy as np

from df2s2_d2.inference.media.video_io.reader import VideoReader
from df2s2_d2.inference.media.video_io.stream_clock import StreamClock

logger = logging.getLogger(__name__)

# Frames that wait for whoever looks at them. Of more the oldest are left out: a stream that is
# looked at more slowly than it comes is seen as it is now, not as it was minutes ago.
_MOST_WAITING = 4
# Seconds between attempts to connect again: the first, and the most, as they double.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
# Seconds after its end at which a stream that is silent is left; pictures may come late.
_GRACE = 5.0
# Seconds that the thread is waited for in the end; a connection that hangs has its own time limit.
_PARTING = 2.0


class StreamReader(VideoReader):
    """Reads a stream in a thread of its own, at the stream's pace.

    A connection that breaks off, ends or falls silent is made again, until none has given a frame
    for as long as patience lasts, or the time is over for which it is to be looked at.
    """

    is_live = True
    is_finite = False

    def __init__(
        self,
        connection: VideoReader,
        connect: Callable[[], VideoReader],
        place: str,
        *,
        patience: float,
        duration: float | None = None,
    ):
        """
        Args:
            connection: the first one.
            connect: makes another; its OSError says why there is none.
            place: what the stream is called in messages.
            patience: seconds without a frame after which it is given up; 0 connects once only.
            duration: seconds after the first frame of which it gives frames, at least; None for
                all.
        """
        self.fps = connection.fps
        self.frame_bytes = connection.frame_bytes
        self._connection = connection
        self._connect = connect
        self._place = place
        self._patience = patience
        self._duration = duration
        self._is_over = False
        self._clock = StreamClock(1 / self.fps if self.fps > 0 else 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"reads {place}", daemon=True)
        # Since the last frame: when it came, and how often and how soon it was tried again.
        self._latest, self._attempts, self._pause = monotonic(), 0, _FIRST_PAUSE
        # What both threads use, while they hold the condition.
        self._changed = threading.Condition()
        self._waiting: deque[tuple[np.ndarray, float]] = deque()
        self._num_left_out = 0
        self._has_ended = False
        self._error: Exception | None = None

    def pictures(self) -> Iterator[tuple[np.ndarray, float | None]]:
        self._thread.start()
        while True:
            with self._changed:
                # By a time limit Ctrl-C gets through on every system.
                while not self._changed.wait_for(
                    lambda: self._waiting or self._has_ended, timeout=1
                ):
                    if self._is_time_over():
                        self._is_over = True
                        break
                if not self._waiting:
                    break
                picture = self._waiting.popleft()
            yield picture
        if self._error is not None:
            raise self._error

    def _is_time_over(self) -> bool:
        """Whether nothing that is still to come can be of the time to be looked at."""
        if self._duration is None or not self._clock.has_started:
            return False
        return monotonic() >= self._clock.due(self._duration) + _GRACE

    def fault(self, num_read: int) -> str | None:
        if self._is_over or not self.broke_off:
            return None
        tried = f", although it was tried again for {self._patience:g} seconds"
        return (
            f"The stream {self._place} gives no more frames ({self.broke_off})"
            f"{tried if self._attempts else ''}: check that it is still there"
        )

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_PARTING)
        else:
            self._connection.close()
        if self._num_left_out:
            logger.warning(
                "Of the stream %s %d frames were left out: they came faster than faces were looked "
                "for",
                self._place,
                self._num_left_out,
            )

    # In the thread

    def _run(self) -> None:
        try:
            while self._read_connection() and self._connect_again():
                pass
        except Exception as error:  # It is for the thread that waits for frames.
            self._error = error
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify()

    def _read_connection(self) -> bool:
        """Hand on the frames of a connection; False if the stream is not to go on after it."""
        with contextlib.closing(self._connection) as connection:
            self._clock.break_off()
            for image, told in connection.pictures():
                seconds = self._clock.time_of(told, monotonic())
                # What was held back on the way comes as fast as the network allows.
                if self._stop.wait(max(0.0, self._clock.due(seconds) - monotonic())):
                    return False
                self._hand_on(image, seconds)
            self.broke_off = connection.broke_off
            if not self.broke_off and (connection.is_finite or not self._patience):
                return False
        self.broke_off = self.broke_off or "it ended"
        return not self._stop.is_set()

    def _hand_on(self, image: np.ndarray, seconds: float) -> None:
        if self._attempts:
            logger.warning("The stream %s is there again", self._place)
        self._latest, self._attempts, self._pause = monotonic(), 0, _FIRST_PAUSE
        with self._changed:
            self._waiting.append((image, seconds))
            while len(self._waiting) > _MOST_WAITING:
                self._waiting.popleft()
                self._num_left_out += 1
            self._changed.notify()

    def _connect_again(self) -> bool:
        """Try until there is a connection; False if the stream is given up."""
        if self._patience and not self._attempts:
            logger.warning(
                "The stream %s broke off (%s): it is tried again for %g seconds",
                self._place,
                self.broke_off,
                self._patience,
            )
        while self._is_worth_a_try() and not self._stop.wait(self._pause):
            self._attempts += 1
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            try:
                self._connection = self._connect()
            except OSError as error:
                self.broke_off = str(error)
            else:
                return True
        return False

    def _is_worth_a_try(self) -> bool:
        """Whether patience lasts; it does for one attempt, however long a connection was silent."""
        if not self._attempts:
            return self._patience > 0
        return monotonic() - self._latest < self._patience
