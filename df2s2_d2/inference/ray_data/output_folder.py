"""A folder of results, on this machine or wherever fsspec reaches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from df2s2_d2.formats.whole_outputs import write_whole


class OutputFolder:
    """Whole files in a folder that several machines write into.

    Files of the local file system, which machines may share, are replaced as a whole. So are those
    of object stores, where a file is one request.

    Args:
        address: a path, or an address that fsspec knows, such as "s3://bucket/found".
    """

    def __init__(self, address: str):
        self.address = address
        # The working folder of another process is not that of this one.
        self._place = address if "://" in address else os.path.abspath(address)

    def __str__(self) -> str:
        return self.address

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        fs, path = self._resolve(name)
        try:
            return fs.cat_file(path)
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file as a whole.

        Raises:
            OSError: if it cannot be written.
        """
        fs, path = self._resolve(name)
        if isinstance(fs, LocalFileSystem):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        else:
            fs.pipe_file(path, content)

    def open(self, name: str, mode: str = "wb") -> BinaryIO:
        """Open a file for reading or writing of bytes; the folder is made if need be."""
        fs, path = self._resolve(name)
        if mode == "wb" and isinstance(fs, LocalFileSystem):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return fs.open(path, mode)

    def remove(self, name: str) -> None:
        """Remove a folder with all in it, if there is one."""
        fs, path = self._resolve(name)
        if fs.exists(path):
            fs.rm(path, recursive=True)

    def holds(self, name: str) -> bool:
        """Whether there is a file or a folder of that name."""
        fs, path = self._resolve(name)
        return fs.exists(path)

    def is_at(self, fs: AbstractFileSystem, path: str) -> bool:
        """Whether a folder of a file system is this one."""
        own, place = fsspec.core.url_to_fs(self._place)
        return type(own) is type(fs) and os.path.normpath(path) == os.path.normpath(place)

    def _resolve(self, name: str) -> tuple[AbstractFileSystem, str]:
        fs, folder = fsspec.core.url_to_fs(self._place)
        return fs, f"{folder.rstrip('/')}/{name}"
