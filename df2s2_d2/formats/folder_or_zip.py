"""Files in a folder or in a zip archive of one, of a size that is bounded before they are read.

A few megabytes of an archive can hold gigabytes of zeros. What an archive states of its files is
what Python reads of them at most, so that it is enough to look at that.
"""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# Bytes: about five million detections a file, and twenty million an archive.
_LARGEST_FILE = 1 << 28
_LARGEST_ARCHIVE = 1 << 30
_MOST_MEMBERS = 1 << 20

# Digits are packed to a third or a quarter of their bytes, the same line over and over to some
# hundredth, zeros to a thousandth. Small files are nothing to fear, however well they are packed.
_HIGHEST_RATIO = 250
_SMALL_FILE = 1 << 20

# What Python's reader of archives stumbles over.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    UnicodeDecodeError,
    OSError,  # of places before the start of the file
    struct.error,
)


def iterate_files(
    path: Path, choose: Callable[[list[str]], Iterable[str]], expected: str
) -> Iterator[tuple[str, bytes]]:
    """Read some of the files of a folder or zip archive, which may lie at any depth.

    The shadow files that archives made on macOS hold are passed over.

    Args:
        path: the folder or archive.
        choose: of the names of all files, relative to `path` and with forward slashes, returns
            those to be read, in that order.
        expected: what should have been at `path`, for messages.

    Yields:
        Name and content of each chosen file.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is neither a folder nor an archive, the archive is damaged, or a file is
            larger than such files are.
    """
    if path.is_dir():
        names = [
            os.path.relpath(os.path.join(folder, file), path).replace(os.sep, "/")
            for folder, _, files in os.walk(path)
            for file in files
        ]
        for name in choose(_without_shadows(names)):
            yield name, read_bounded(path / name)
    elif not path.exists():
        raise FileNotFoundError(f"{path} not found: give {expected}")
    elif path.is_file() and zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                for name, member in _bounded_members(path, archive, choose):
                    yield name, archive.read(member)
        except _DAMAGED as error:
            raise ValueError(
                f"{path} is damaged, encrypted or packed in an unknown way ({str(error)[:120]}); "
                "pack it again as a plain zip archive"
            ) from error
    else:
        raise ValueError(f"{path} is neither a folder nor a zip archive: give {expected}")


def read_bounded(path: Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no plain file, such as a pipe, or larger than files of detections are.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no plain file: leave it out")
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{path} {_too_large(path.stat().st_size)}")
    return path.read_bytes()


def _bounded_members(
    path: Path, archive: zipfile.ZipFile, choose: Callable[[list[str]], Iterable[str]]
) -> list[tuple[str, zipfile.ZipInfo]]:
    """The chosen files of an archive, none of which unpacks to more than such files have.

    Some programs on Windows write backslashes into the names.
    """
    if len(archive.infolist()) > _MOST_MEMBERS:
        raise ValueError(f"{path} holds more than {_MOST_MEMBERS:,} files: pack fewer into one")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        if name in members and not name.endswith("/"):
            raise ValueError(f"{path} holds two files {name}: remove one")
        members[name] = info
    chosen = [(name, members[name]) for name in choose(_without_shadows(list(members)))]
    for name, info in chosen:
        packed_well = info.file_size > max(_SMALL_FILE, _HIGHEST_RATIO * info.compress_size)
        if packed_well or info.file_size > _LARGEST_FILE:
            packed = f", packed to {info.compress_size:,}"
            raise ValueError(f"{path}: {name} {_too_large(info.file_size, packed)}")
    total = sum(info.file_size for _, info in chosen)
    if total > _LARGEST_ARCHIVE:
        raise ValueError(f"{path}, unpacked, {_too_large(total)}")
    return chosen


def _too_large(num_bytes: int, packed: str = "") -> str:
    return (
        f"has {num_bytes:,} bytes{packed}: more than files of detections have; leave it out, or "
        "keep fewer detections"
    )


def _without_shadows(names: list[str]) -> list[str]:
    return [name for name in names if "__MACOSX/" not in name and "/._" not in f"/{name}"]
