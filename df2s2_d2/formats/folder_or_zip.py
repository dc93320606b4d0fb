"""Files in a folder or in a zip archive of one."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


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
        ValueError: if it is neither a folder nor an archive, or the archive is damaged.
    """
    if path.is_dir():
        names = [
            os.path.relpath(os.path.join(folder, file), path).replace(os.sep, "/")
            for folder, _, files in os.walk(path)
            for file in files
        ]
        for name in choose(_without_shadows(names)):
            yield name, (path / name).read_bytes()
    elif not path.exists():
        raise FileNotFoundError(f"{path} not found: give {expected}")
    elif zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                for name in choose(_without_shadows(archive.namelist())):
                    yield name, archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ValueError(
                f"{path} is damaged, encrypted or packed in an unknown way ({error}); "
                "pack it again as a plain zip archive"
            ) from error
    else:
        raise ValueError(f"{path} is neither a folder nor a zip archive: give {expected}")


def _without_shadows(names: list[str]) -> list[str]:
    return [name for name in names if "__MACOSX/" not in name and "/._" not in f"/{name}"]
