"""What everything that writes a video takes, whatever library it writes it by."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np


class VideoWriter(ABC):
    """An MP4 file of pictures of one size, which can be played once it is closed."""

    @abstractmethod
    def write(self, picture: np.ndarray, time: float | None) -> None:
        """Append a picture.

        Args:
            picture: (H, W, 3) uint8 RGB, of the size that the video has.
            time: seconds since the beginning; None for as long after the last one as the rate
                says.

        Raises:
            OSError: if the file cannot be written; names it.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: if it cannot be written; names it.
        """


def unwritable(place: object, width: int, height: int, reason: str = "") -> str:
    """That a video cannot be written, in a sentence."""
    return (
        f"The video {place} of {width} x {height} pixels cannot be written"
        f"{f' ({reason})' if reason else ''}: check that there is room and that its folder may be "
        "written to"
    )
