"""The images that a run over a cluster is to look at, listed once in a Parquet file.

Workers read their share of the list from there, so that no machine holds all of it.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from df2s2_d2.inference.media.addresses import is_address, without_secrets
from df2s2_d2.inference.media.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES, as_utf8
from df2s2_d2.inference.ray_data.output_folder import OutputFolder

# Columns of a list that hold paths or addresses; the second is that of results, so that those of
# one run, or some of their rows, are a list for another.
COLUMNS = ("path", "file")
# Rows of a list that are read at once: no part of a run is larger, or lies in two of these.
GROUP = 1000
LIST_FILE = "inputs.parquet"
_SCHEMA = pa.schema([pa.field("path", pa.string(), nullable=False)])


@dataclass(frozen=True)
class ListedImages:
    """What a list holds.

    Attributes:
        count: of images.
        digest: stands for their paths and their order.
    """

    count: int
    digest: str


def find_images(
    inputs: Sequence[str], output: OutputFolder, pass_over: Callable[[str], None]
) -> Iterator[str]:
    """The images among inputs, lazily, in an order that stays the same.

    Args:
        inputs: paths and addresses that fsspec knows (``s3://bucket/photos``): images, taken
            whatever their suffix; folders with all images below them but hidden ones; patterns;
            and Parquet files with a column of :data:`COLUMNS`.
        output: a folder of results, passed over in the folders that hold it.
        pass_over: is told of what cannot be listed.

    Yields:
        Paths and addresses, those of folders and patterns as they were given.

    Raises:
        FileNotFoundError: if an input does not exist or holds no image.
        ValueError: if a Parquet file is no list, an input is a video, a stream or lies in another.
    """
    _check_apart(inputs)
    for text in dict.fromkeys(inputs):
        found = _Listing(text, output, pass_over)
        first = next(found, None)
        if first is None:
            raise FileNotFoundError(f"The input {text} holds no image")
        yield first
        yield from found


def _check_apart(inputs: Sequence[str]) -> None:
    """Refuse inputs whose images would be looked at twice."""
    places = {PurePosixPath(x if "://" in x else os.path.abspath(x)): x for x in inputs}
    for place, text in places.items():
        above = next((places[folder] for folder in place.parents if folder in places), None)
        if above is not None:
            raise ValueError(f"The input {text} lies in {above}, which is given too: leave it out")


class _Listing(Iterator[str]):
    """The images of one input."""

    def __init__(self, text: str, output: OutputFolder, pass_over: Callable[[str], None]):
        self._fs: AbstractFileSystem
        try:
            self._fs, self._root = fsspec.core.url_to_fs(text)
        except ValueError as error:  # such as for rtsp://
            place = without_secrets(text) if is_address(text) else text
            raise ValueError(
                f"The input {place} is in no file system that fsspec knows ({error}): give paths "
                "or addresses of photographs, and look at streams without --ray"
            ) from error
        self._text, self._output, self._pass_over = text, output, pass_over
        self._found = self._list()

    def __next__(self) -> str:
        return next(self._found)

    def _list(self) -> Iterator[str]:
        if self._fs.isdir(self._root):
            yield from self._in_folder(self._root)
        elif self._fs.exists(self._root):
            yield from self._in_file(self._root, is_named=True)
        elif glob.has_magic(self._text):
            fixed = _fixed_part(self._root)
            for path in sorted(self._fs.glob(self._root)):
                if any(part.startswith(".") for part in path.removeprefix(fixed).split("/")):
                    continue
                if not self._fs.isdir(path):
                    yield from self._in_file(path)
                elif not self._output.is_at(self._fs, path):
                    yield from self._in_folder(path)
        else:
            raise FileNotFoundError(f"The input {self._text} does not exist")

    def _in_folder(self, root: str) -> Iterator[str]:
        for folder, folders, files in self._fs.walk(root, on_error="raise"):
            folders[:] = sorted(
                name
                for name in folders
                if not (name.startswith(".") or self._output.is_at(self._fs, f"{folder}/{name}"))
            )
            for name in sorted(files):
                if not name.startswith(".") and _is_image(name):
                    yield from self._named(f"{folder.rstrip('/')}/{name}")

    def _in_file(self, path: str, is_named: bool = False) -> Iterator[str]:
        suffix = PurePosixPath(path).suffix.lower()
        if suffix == ".parquet":
            yield from _read_list(self._fs, path)
        elif is_named and suffix in VIDEO_SUFFIXES:
            raise ValueError(
                f"The input {self._text} is a video, and workers look at photographs: leave it "
                "out, or look at it without --ray"
            )
        elif is_named or _is_image(path):
            yield from self._named(path)

    def _named(self, path: str) -> Iterator[str]:
        """The name of a file as the input names it; none if Parquet cannot hold it."""
        if path.startswith(self._root):
            name = self._text.rstrip("/") + path.removeprefix(self._root.rstrip("/"))
        else:  # Of a pattern only what stands before the first part that varies is in the path.
            name = _fixed_part(self._text) + path.removeprefix(_fixed_part(self._root))
        if as_utf8(name) != name:
            self._pass_over(
                f"The name {as_utf8(name)} is not UTF-8, as those in Parquet must be: rename it"
            )
            return
        yield name


def _fixed_part(pattern: str) -> str:
    """A pattern up to the last slash before what varies."""
    magic = next(i for i, character in enumerate(pattern) if glob.has_magic(character))
    return pattern[: pattern.rfind("/", 0, magic) + 1]


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _read_list(fs: AbstractFileSystem, path: str) -> Iterator[str]:
    with fs.open(path, "rb") as stream:
        try:
            file = pq.ParquetFile(stream)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path} is no Parquet file ({error}): write it again") from error
        columns = [name for name in COLUMNS if name in file.schema_arrow.names]
        types = [file.schema_arrow.field(name).type for name in columns[:1]]
        if not types or not (pa.types.is_string(types[0]) or pa.types.is_large_string(types[0])):
            raise ValueError(
                f"{path}: expected a column {' or '.join(COLUMNS)} with paths or addresses of "
                f"images, found {', '.join(map(str, file.schema_arrow)) or 'no columns'}"
            )
        row = 0
        for batch in file.iter_batches(GROUP, columns=columns[:1]):
            for name in batch.column(0).to_pylist():
                if not name:
                    raise ValueError(
                        f"{path}, row {row}: expected a path or an address in the column "
                        f"{columns[0]}, found none: take the row out"
                    )
                row += 1
                yield name


def write_list(paths: Iterable[str], output: OutputFolder) -> ListedImages:
    """Write the list of a run into its output folder.

    Args:
        paths: taken as they come; few of them are held.
        output: of the run.

    Raises:
        OSError: if it cannot be written.
    """
    with output.open(LIST_FILE) as stream, pq.ParquetWriter(stream, _SCHEMA) as writer:

        def write(group: list[str]) -> None:
            writer.write_table(pa.table({"path": group}, _SCHEMA), row_group_size=GROUP)

        return _list_images(paths, write)


def listed_images(paths: Iterable[str]) -> ListedImages:
    """What a list of these would hold."""
    return _list_images(paths, lambda group: None)


def _list_images(paths: Iterable[str], use: Callable[[list[str]], None]) -> ListedImages:
    remaining, hashed, count = iter(paths), hashlib.sha256(), 0
    while group := list(itertools.islice(remaining, GROUP)):
        for path in group:
            data = path.encode()
            hashed.update(len(data).to_bytes(8, "big") + data)
        count += len(group)
        use(group)
    return ListedImages(count, hashed.hexdigest())


class ImageList:
    """The list of a run as its workers read it.

    Args:
        output: the folder that it was written into.
        part_size: images of a part, a divisor of :data:`GROUP`.
    """

    def __init__(self, output: OutputFolder, part_size: int):
        self._output = output
        self._part_size = part_size

    def part(self, number: int) -> list[str]:
        """The images of a part, from 0; the last one may have fewer."""
        group, start = divmod(number * self._part_size, GROUP)
        rows = self._file.read_row_group(group).column(0)
        return rows.slice(start, self._part_size).to_pylist()

    @functools.cached_property
    def _file(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._output.open(LIST_FILE, "rb"))
