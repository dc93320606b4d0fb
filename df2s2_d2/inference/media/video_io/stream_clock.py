"""When the frames of a stream were, although its own time starts anew with each connection."""

from __future__ import annotations

# Seconds by which a stream's time may rise from one frame to the next; a larger step is none.
_LARGEST_STEP = 10.0


class StreamClock:
    """Seconds since the first frame: by the stream's own time as long as that goes on, and where it
    is not told, starts anew or leaps by the clock on the wall.
    """

    def __init__(self, period: float):
        """
        Args:
            period: seconds from one frame to the next, as the stream says; frames of which nothing
                is known follow each other no faster.
        """
        self._period = period
        self._started: float | None = None
        self._latest = -period
        self._latest_told: float | None = None
        self._is_first = True

    @property
    def has_started(self) -> bool:
        """Whether there was a frame."""
        return self._started is not None

    def break_off(self) -> None:
        """Let the stream's time start anew with the next frame, the first of a connection."""
        self._is_first = True

    def time_of(self, told: float | None, now: float) -> float:
        """When a frame was.

        Args:
            told: by the stream, in seconds; None if it does not tell.
            now: seconds of a clock that never stops, at which the frame was received.
        """
        if self._started is None:
            self._started = now
        step = self._step(told)
        if step is None:
            self._latest = max(now - self._started, self._latest + self._period)
        else:
            self._latest += step
        self._is_first, self._latest_told = False, told
        return self._latest

    def _step(self, told: float | None) -> float | None:
        """Seconds since the frame before, as the stream tells; None if it does not."""
        if told is None or self._is_first:
            return None
        if self._latest_told is None:  # Cameras do not tell the time of their first frame.
            return self._period
        step = told - self._latest_told
        return step if 0 <= step <= _LARGEST_STEP else None

    def due(self, seconds: float) -> float:
        """The time on the wall at which the frame of some time is to be seen."""
        return (self._started or 0.0) + seconds
