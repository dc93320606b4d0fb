"""Files and folders that appear only once all of them is written."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

# Ends the name of what is being written.
PARTIAL = ".partial"


def _partial_name() -> str:
    """A name that no other writer has, short wherever the name to be written is near its limit."""
    return f".{os.getpid()}-{secrets.token_hex(6)}{PARTIAL}"


def write_whole(path: str | os.PathLike, content: bytes | memoryview, durable: bool = True) -> None:
    """Write a file so that its name never stands for a part of it.

    Several may write one file at the same time: the last of them remains. A process that is killed
    leaves what it had under a hidden name that ends in ``PARTIAL``.

    Args:
        path: to be written or replaced, in a folder that exists.
        content: all of the file.
        durable: whether that holds after a power cut too; the disk is waited for then.

    Raises:
        OSError: if it cannot be written; what lay at ``path`` is unchanged then.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path)
    partial = os.path.join(folder, _partial_name())
    try:
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
        if durable:
            sync_folder(folder or ".")
    except BaseException:
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

    After a failure nothing of it is left, and what was at ``path`` is still there. Several may do
    so at the same time; a process that is killed leaves a hidden name that ends in ``PARTIAL``.

    Args:
        path: of the file or folder; folders above it are made if need be.

    Yields:
        The place, at which there is nothing yet.

    Raises:
        OSError: if it cannot take the name, as a file cannot take that of a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(_partial_name())
    try:
        yield partial
        if partial.is_dir() and path.is_dir():  # which may have something in it
            _remove(path)
        partial.replace(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
