"""Files that are, after whatever ends a process, either whole or as they were before."""

from __future__ import annotations

import errno
from pathlib import Path

from df2s2_d2.formats.whole_outputs import PARTIAL, write_whole

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SavingError(OSError):
    """A file of a run cannot be written; the message is one sentence for the user."""


def write_durably(path: str, content: bytes | memoryview) -> None:
    """Write a file of a training run, see :func:`~df2s2_d2.formats.whole_outputs.write_whole`.

    Args:
        path: to be written or replaced, in a folder that exists.
        content: all of the file.

    Raises:
        SavingError: naming the file, its size and what to do; what lay at ``path`` is unchanged.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        room = "make room (SOLVER.CHECKPOINT_KEEP limits what a run keeps)"
        remedy = room if error.errno in _FULL else "make its folder writable"
        raise SavingError(
            f"{path} ({len(content):,} bytes) cannot be written ({error.strerror}): {remedy} and "
            "start again with --resume"
        ) from error


def remove_partial_files(folder: str) -> None:
    """Remove what a process left that was killed in :func:`write_durably`."""
    for path in Path(folder).glob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)
