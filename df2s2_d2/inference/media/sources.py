"""What the user names on the command line -> the image and video files it stands for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath

from df2s2_d2.formats.folder_search import files_below
from df2s2_d2.inference.media.addresses import file_name, is_address, suffix, without_secrets
from df2s2_d2.inference.media.video_io import require_pyav

_WRITABLE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
# Formats of photographs that Pillow reads, and those that it reads with an extension only: where
# it does not, such images are failures that are named, not files that nobody notices.
IMAGE_SUFFIXES = _WRITABLE_SUFFIXES | frozenset(
    {".jpe", ".jfif", ".mpo", ".jp2", ".j2k", ".jpf", ".jpx", ".dib", ".gif", ".apng", ".avif"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".jxl"}
)
# A ".ts" is a video only if it is named: in folders it is mostly a program.
_FOUND_VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"}
    | {".mts", ".m2ts"}
)
VIDEO_SUFFIXES = _FOUND_VIDEO_SUFFIXES | {".ts"}
FOUND_SUFFIXES = IMAGE_SUFFIXES | _FOUND_VIDEO_SUFFIXES


@dataclass(frozen=True)
class LiveOptions:
    """How a camera or stream is looked at.

    Attributes:
        reconnect: seconds for which a stream that broke off is tried again.
        duration: seconds after which it is left; None for its end.
    """

    reconnect: float = 60.0
    duration: float | None = None


@dataclass(frozen=True)
class Source:
    """An image or video file, a stream, or a camera.

    Attributes:
        path: of the file; "webcam<number>" for a camera. For a stream a text, its address without
            user, password and keys.
        name: of what is made from it, below an output folder. It keeps the folders below the
            input, ends in a suffix that can be written, and no other source has it.
        camera: number of the camera.
        address: of the stream.
        live: how a camera or stream is looked at.
    """

    path: Path | str
    name: PurePosixPath
    camera: int | None = None
    address: str | None = field(default=None, repr=False)
    live: LiveOptions = LiveOptions()

    @property
    def is_file(self) -> bool:
        """Whether it can be looked at again, and will be the same."""
        return self.camera is None and self.address is None

    @property
    def is_video(self) -> bool:
        return not self.is_file or _is_video(self.path)


def camera_source(number: int, live: LiveOptions = LiveOptions()) -> Source:  # noqa: B008
    """The camera of this number, counted by the system from 0."""
    name = f"webcam{number}"
    return Source(Path(name), PurePosixPath(f"{name}.mp4"), number, live=live)


def as_utf8(path: str | os.PathLike) -> str:
    """A path as text that any file can hold; on Linux names need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def require_utf8(path: str | os.PathLike) -> None:
    """Refuse a name that OpenCV's videos cannot take: it would end the process.

    Raises:
        OSError: naming it.
    """
    if as_utf8(path) != os.fspath(path):
        raise OSError(
            f"The name {as_utf8(path)} is not UTF-8, as those of videos must be: rename it"
        )


def find_sources(
    inputs: Iterable[str],
    output: Path | None = None,
    live: LiveOptions = LiveOptions(),  # noqa: B008 (it cannot be changed)
) -> list[Source]:
    """The images and then the videos among ``inputs``, each once, in the order of the inputs.

    Args:
        inputs: files, taken whatever their suffix; folders, in which all images and videos by
            :data:`FOUND_SUFFIXES` at any depth are taken in alphabetical order, but hidden ones,
            also of linked folders;
            patterns with ``*``, ``?``, ``[...]`` and ``**``, of whose matches the same are taken;
            addresses of streams, and of videos on web servers.
        output: a folder of results, passed over in the folders that hold it.
        live: how streams are looked at.

    Raises:
        FileNotFoundError: if an input does not exist or holds no image and no video.
        ModuleNotFoundError: if there is a stream, but nothing that reads it.
    """
    found: dict[str, Source] = {}  # by the file's real path, or by the address
    for text in inputs:
        if not text:
            raise FileNotFoundError("An input is an empty text: give a file, a folder or a pattern")
        if _is_stream(text):
            require_pyav()
            found.setdefault(text, _stream_source(text, live))
            continue
        matches = list(_expand(text, output))
        if not matches:
            raise FileNotFoundError(f"The input {text} holds no image and no video")
        for path, relative in matches:
            found.setdefault(os.path.realpath(path), Source(path, _writable_name(relative)))
    sources = sorted(found.values(), key=lambda source: source.is_video)
    names = _unique_names([source.name for source in sources])
    return [replace(source, name=name) for source, name in zip(sources, names, strict=True)]


def holds_several(path: str | os.PathLike) -> bool:
    """Whether a path is a folder, a video by its suffix, a pattern or the address of a stream; else
    it is of one image.
    """
    text = os.fspath(path)
    if "://" in text and not os.path.exists(text):
        return _is_stream(text)
    is_pattern = glob.has_magic(text) and not os.path.exists(text)
    return is_pattern or os.path.isdir(text) or _is_video(Path(text))


def check_output(sources: Sequence[Source], output: Path) -> None:
    """Refuse an output folder in which a source would be overwritten, also by way of a link there.

    Raises:
        ValueError: naming the source.
    """
    results = {os.path.realpath(output.joinpath(*source.name.parts)) for source in sources}
    for source in sources:
        if os.path.realpath(source.path) in results:
            raise ValueError(
                f"{source.path} would be overwritten by a picture: choose another --output"
            )


def _is_video(path: PurePath) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_stream(text: str) -> bool:
    """Whether a text is an address, but for those of images."""
    return is_address(text) and suffix(text) not in IMAGE_SUFFIXES


def _stream_source(address: str, live: LiveOptions) -> Source:
    name = file_name(address)
    if suffix(address) in VIDEO_SUFFIXES:
        name = name[: -len(suffix(address))]
    return Source(
        without_secrets(address), PurePosixPath(f"{name}.mp4"), address=address, live=live
    )


def _expand(text: str, output: Path | None) -> Iterator[tuple[Path, PurePosixPath]]:
    """The files that an input stands for, and their names below it."""
    if is_address(text):
        raise FileNotFoundError(
            f"The input {without_secrets(text)} is an image on a server: nothing is downloaded "
            "here; fetch it and give the file, or let `df2s2 detect --ray` fetch it"
        )
    if "://" in text:
        raise FileNotFoundError(
            f"The input {text} is neither a file of this machine nor a stream: photographs are "
            "fetched from other places by `df2s2 detect --ray`"
        )
    path = Path(text)
    if path.is_dir():
        yield from _search(path, path, output)
    elif path.exists():
        yield path, PurePosixPath(path.name)
    elif glob.has_magic(text):
        root = _fixed_part(path)
        for match in sorted(map(Path, glob.glob(text, recursive=True))):
            yield from _search(match, root, output)
    else:
        raise FileNotFoundError(f"The input {text} does not exist")


def _search(path: Path, root: Path, output: Path | None) -> Iterator[tuple[Path, PurePosixPath]]:
    """Images and videos at or below ``path``, and their names below ``root``."""
    if output is not None and _is_below(root, output):
        output = None
    files = sorted(path / name for name in files_below(path)) if path.is_dir() else [path]
    for file in files:
        relative = file.relative_to(root)
        if (
            file.suffix.lower() in FOUND_SUFFIXES
            # The folders down to what a pattern has matched may be hidden.
            and not any(part.startswith(".") for part in relative.parts)
            and not (output is not None and _is_below(file, output))
        ):
            yield file, PurePosixPath(relative.as_posix())


def _is_below(path: Path, folder: Path) -> bool:
    """Whether a path is the folder or in it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first that varies."""
    parts = pattern.parts
    return Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])


def _writable_name(relative: PurePosixPath) -> PurePosixPath:
    relative = PurePosixPath(as_utf8(relative))
    if relative.suffix.lower() in VIDEO_SUFFIXES:
        return relative.with_suffix(".mp4")
    if relative.suffix.lower() in _WRITABLE_SUFFIXES:
        return relative
    return relative.with_name(f"{relative.name}.jpg")


def _unique_names(names: list[PurePosixPath]) -> list[PurePosixPath]:
    """Number names that occurred before, ``face.jpg``, ``face_2.jpg``, whatever their case."""
    taken: set[str] = set()
    wanted = {str(name).lower() for name in names}
    last: dict[str, int] = {}  # number of each name; those before it stay taken
    unique = []
    for name in names:
        number = last.get(str(name).lower(), 1)
        candidate = name if number == 1 else name.with_name(f"{name.stem}_{number}{name.suffix}")
        while (key := str(candidate).lower()) in taken or (number > 1 and key in wanted):
            number += 1
            candidate = name.with_name(f"{name.stem}_{number}{name.suffix}")
        taken.add(key)
        last[str(name).lower()] = number
        unique.append(candidate)
    return unique
