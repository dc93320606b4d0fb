"""Files that are whole documents after each addition: a run that breaks off leaves what it had."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


class GrowingFile:
    """A text file that is a whole document after each addition, and once closed after a failed one.

    Nothing is buffered: what there is no room for would be tried again, and in vain.
    """

    def __init__(self, path: Path, head: str = "", tail: str = ""):
        """
        Args:
            path: of the file, which is overwritten.
            head, tail: text before and after what is added.
        """
        self._file = path.open("wb", buffering=0)
        self._tail = tail.encode()
        self._end = 0  # of what is there for good, in bytes
        self.append(head)

    def append(self, text: str) -> None:
        """Write a text before the tail."""
        # Names that are not UTF-8 are written with the bytes that they have.
        data = text.encode("utf-8", "surrogateescape")
        self._write_at_end(data + self._tail)
        self._end += len(data)

    def _write_at_end(self, data: bytes) -> None:
        self._file.seek(self._end)
        while data:
            data = data[self._file.write(data) :]
        self._file.truncate()

    def close(self) -> None:
        """Finish the file, also after a failure or an interruption in the midst of an addition."""
        with self._file:
            self._write_at_end(self._tail)


class JsonArrayFile(GrowingFile):
    """A JSON file with an array to which items are added."""

    def __init__(self, path: Path, before: str = "", after: str = ""):
        """
        Args:
            path: of the file, which is overwritten.
            before, after: text of the document before and after the array.
        """
        super().__init__(path, f"{before}[", f"\n]{after}\n")
        self._separator = "\n"

    def add(self, items: Sequence[dict]) -> None:
        """Append items, one a line."""
        if items:
            text = ",\n".join(json.dumps(item, allow_nan=False) for item in items)
            self.append(f"{self._separator}{text}")
            self._separator = ",\n"
