"""Frames of a video kept back until it is known where faces are that were not found in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from df2s2_d2.inference.media import frame_search
from df2s2_d2.inference.media.found_faces import FoundFaces
from df2s2_d2.inference.tracking.held_faces import HeldFaces


class HeldFrames:
    """Gives frames on once those of the next moment are there, or too many bytes wait.

    A face that is found again closes the gap before it, and a face that is found first may have
    been there before: either takes frames that come later. Where a frame has to go before, gaps are
    closed from their beginnings on alone.
    """

    def __init__(self, max_gap: float):
        """
        Args:
            max_gap: seconds that are waited for, see
                :class:`~df2s2_d2.inference.tracking.held_faces.HeldFaces`.
        """
        self._max_gap = max_gap
        self._faces = HeldFaces(max_gap)
        self._waiting: deque[FoundFaces] = deque()
        self._bytes = 0

    def through(self, found: Iterable[FoundFaces]) -> Iterator[FoundFaces]:
        """The frames in their order, with what is to be hidden in them.

        Args:
            found: frames whose faces are tracked, or unknown.
        """
        for item in found:
            self._waiting.append(item)
            self._bytes += item.frame.image.nbytes
            if item.tracked is not None:
                self._faces.add(item.frame.time, item.tracked.ids, item.tracked.boxes)
            while self._waiting and self._is_ready(self._waiting[0], item.frame.time):
                yield self._next()
        yield from self.rest()

    def rest(self) -> Iterator[FoundFaces]:
        """The frames that still wait, if :meth:`through` was ended before its end."""
        while self._waiting:
            yield self._next()

    def _is_ready(self, found: FoundFaces, now: float) -> bool:
        return now - found.frame.time >= self._max_gap or self._bytes > frame_search.MOST_BYTES

    def _next(self) -> FoundFaces:
        found = self._waiting.popleft()
        self._bytes -= found.frame.image.nbytes
        return replace(found, hidden=self._faces.boxes_at(found.frame.time))
