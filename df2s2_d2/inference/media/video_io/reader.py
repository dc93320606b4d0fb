"""What everything that reads a video gives, whatever library it reads it by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np


class VideoReader(ABC):
    """The pictures of a video file, stream or camera that is open.

    Attributes:
        fps: pictures a second, as it says; 0 if it does not.
        num_frames: as it says; None if it does not.
        duration: seconds, as it says; None if it does not.
        frame_bytes: of a picture in memory; 0 if unknown.
        is_live: whether pictures come at their own pace, and what is not taken in time is lost.
        is_finite: whether it says that it ends.
        broke_off: why the pictures ended before their end; empty if they did not.
    """

    fps: float = 0.0
    num_frames: int | None = None
    duration: float | None = None
    frame_bytes: int = 0
    is_live: bool = False
    is_finite: bool = True
    broke_off: str = ""

    @abstractmethod
    def pictures(self) -> Iterator[tuple[np.ndarray, float | None]]:
        """Read until the end.

        Returns:
            An iterator over pictures, (H, W, 3) uint8 RGB, upright, each with its time in seconds
            since the beginning; None if that is not told.
        """

    @abstractmethod
    def fault(self, num_read: int) -> str | None:
        """What is wrong with what could be read, in a sentence; None if nothing is.

        Args:
            num_read: pictures that were read until the end.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the file, camera or connection."""
