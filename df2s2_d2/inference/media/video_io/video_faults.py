"""What is told of video files that are damaged."""

from __future__ import annotations

import os

# What a container announces is a guess in some formats.
_TOLERATED_LOSS = 0.02


def unreadable(place: str | os.PathLike, library: str) -> str:
    """That no picture of a video file can be read, in a sentence.

    Args:
        place: of the file.
        library: that does not read it.
    """
    return (
        f"The video {place} cannot be read: it is empty, damaged or in a format unknown to "
        f"{library}; restore or convert it"
    )


def cut_short(place: str | os.PathLike, extent: str) -> str:
    """That only the beginning of a video can be read, in a sentence.

    Args:
        place: of the file.
        extent: how much of it, such as "frame 7 of 30".
    """
    return (
        f"The video {place} can be read up to {extent} only: it is damaged or cut short; restore "
        "the file"
    )


def is_less(read: float, announced: float | None) -> bool | None:
    """Whether clearly less was read than was announced; None if nothing was."""
    return None if not announced else read < announced * (1 - _TOLERATED_LOSS)
