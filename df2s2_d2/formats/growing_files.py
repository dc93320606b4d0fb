"""Files that are whole documents after each addition: a run that breaks off leaves what it had."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows has other locks
    fcntl = None


class GrowingFile:
    """A text file that is a whole document after each addition, and once closed after a failed one.

    Nothing is buffered: what there is no room for would be tried again, and in vain. What was there
    before remains until :meth:`start`: of several files none is lost if another cannot be opened.
    Where the file system has locks, one process at a time has the file; else two would overwrite
    what the other adds.

    Attributes:
        end: bytes up to the tail, all of which is there for good.
    """

    def __init__(self, path: Path, head: str = "", tail: str = "", end: int | None = None):
        """
        Args:
            path: of the file, which is to be overwritten, or cut off at ``end`` and continued.
            head, tail: text before and after what is added.
            end: of the file of a run that broke off, after an addition; None starts anew.

        Raises:
            OSError: if the file cannot be made, is not there to be continued, or is being written.
            ValueError: if the file to be continued ends before ``end``.
        """
        self._path = path
        self._head, self._tail = head.encode(), tail.encode()
        self._is_new = end is None and not path.exists()
        self._is_started = False
        self._continues = end is not None
        self.end = end or 0
        if self._continues and (size := path.stat().st_size) < self.end:
            raise ValueError(
                f"{path} has {size:,} bytes, less than the {end:,} that were in it: it was changed "
                "or put elsewhere; put it back, or start anew without --resume"
            )
        self._file = path.open("xb" if self._is_new else "r+b", buffering=0)
        try:
            _lock(self._file, path)
        except BaseException:
            self._file.close()
            raise

    def start(self) -> None:
        """Make the file the document that it begins as; needed before the first addition."""
        self._is_started = True
        self._write_at_end(self._tail)
        if not self._continues:
            self.append(self._head.decode())

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added yet."""
        return self.end == len(self._head)

    def append(self, text: str) -> None:
        """Write a text before the tail."""
        # Names that are not UTF-8 are written with the bytes that they have.
        data = text.encode("utf-8", "surrogateescape")
        self._write_at_end(data + self._tail)
        self.end += len(data)

    def _write_at_end(self, data: bytes) -> None:
        self._file.seek(self.end)
        while data:
            data = data[self._file.write(data) :]
        self._file.truncate()

    def sync(self) -> None:
        """Wait until all is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Finish the file, also after a failure or an interruption in the midst of an addition.

        One that was not started is as it was before.
        """
        with self._file:
            if self._is_started:
                self._write_at_end(self._tail)
        if self._is_new and not self._is_started:
            self._path.unlink()


def _lock(file: IO[bytes], path: Path) -> None:
    """Keep others out of an open file until it is closed or the process ends, however it does."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            f"{path} is being written by another run: wait for its end, or choose another folder"
        ) from error
    except OSError:  # a file system without locks
        return


class JsonArrayFile(GrowingFile):
    """A JSON file with an array to which items are added, one a line."""

    def __init__(self, path: Path, before: str = "", after: str = "", end: int | None = None):
        """
        Args:
            path, end: see :class:`GrowingFile`.
            before, after: text of the document before and after the array, each without line ends.
        """
        super().__init__(path, f"{before}[", f"\n]{after}\n", end)

    def add(self, items: Sequence[dict]) -> None:
        """Append items."""
        self.add_lines([json.dumps(item, allow_nan=False) for item in items])

    def add_lines(self, items: Sequence[str]) -> None:
        """Append items that are JSON already."""
        if items:
            text = ",\n".join(items)
            self.append(f"\n{text}" if self.is_empty else f",\n{text}")


def array_lines(path: Path) -> Iterator[str]:
    """The items of a file that :class:`JsonArrayFile` wrote, as JSON, read one by one."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        next(file)
        for line in file:
            if line.startswith("]"):
                return
            yield line.rstrip("\n").removesuffix(",")
