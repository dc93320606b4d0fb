"""Files that are, after whatever ends a process, either whole or as they were before."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

# Behind the name of a file that is being written.
_PARTIAL = ".partial"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SavingError(OSError):
    """A file of a run cannot be written; the message is one sentence for the user."""


def write_durably(path: str, content: bytes | memoryview) -> None:
    """Write a file so that its name never stands for a part of it, not even after a power cut.

    Args:
        path: to be written or replaced, in a folder that exists.
        content: all of the file.

    Raises:
        SavingError: naming the file, its size and what to do; what lay at ``path`` is unchanged.
    """
    partial = path + _PARTIAL
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(os.path.dirname(path) or ".")
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        room = "make room (SOLVER.CHECKPOINT_KEEP limits what a run keeps)"
        remedy = room if error.errno in _FULL else "make its folder writable"
        raise SavingError(
            f"{path} ({len(content):,} bytes) cannot be written ({error.strerror}): {remedy} and "
            "start again with --resume"
        ) from error


def remove_partial_files(folder: str) -> None:
    """Remove what a process left that was killed in :func:`write_durably`."""
    for path in Path(folder).glob(f"*{_PARTIAL}"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: str) -> None:
    """Make the folder's entries durable, where its file system lets folders be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
