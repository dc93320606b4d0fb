"""Files and folders that appear only once all of them is written."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

# Behind the name of what is being written.
PARTIAL = ".partial"


def write_whole(
    path: str | os.PathLike,
    content: bytes | memoryview,
    durable: bool = True,
    shared: bool = False,
) -> None:
    """Write a file so that its name never stands for a part of it.

    Args:
        path: to be written or replaced, in a folder that exists.
        content: all of the file.
        durable: whether that holds after a power cut too; the disk is waited for then.
        shared: whether other processes, on any machine, may write it at the same time; what one
            that is killed leaves then is not replaced by the next.

    Raises:
        OSError: if it cannot be written; what lay at ``path`` is unchanged then.
    """
    path = os.fspath(path)
    own = f".{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}" if shared else ""
    partial = path + own + PARTIAL
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
        if durable:
            sync_folder(os.path.dirname(path) or ".")
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


def sync_folder(folder: str) -> None:
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


def require_free(path: Path, overwrite: bool) -> None:
    """Refuse to write where something is, unless that is wanted.

    Raises:
        FileExistsError: naming it.
    """
    is_taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if is_taken and not overwrite:
        raise FileExistsError(f"{path} exists: choose another output, or add --overwrite")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside ``path`` for a file or a folder, which takes its name once it is written.

    After a failure nothing of it is left, and what was at ``path`` is still there. What a killed
    process has left at that place is removed.

    Args:
        path: of the file or folder; folders above it are made if need be.

    Yields:
        The place, at which there is nothing yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    _remove(partial)
    try:
        yield partial
        if path.is_dir():  # A folder does not replace another that has something in it.
            _remove(path)
        partial.replace(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
