"""Files opened by FFmpeg, and what it says of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

# The name of a file is no address whatever it looks like. What lies there opens none and no other
# file: formats that list further places, or programs, are none that a video may have.
_FILE = "file:"
_LISTS = frozenset(
    {"avisynth", "concat", "dash", "hls", "image2", "imf", "lavfi", "mlv", "sdp", "vapoursynth"}
    | {"vobsub", "webm_dash_manifest"}
)
# From 19 on PyAV does so unasked, and cannot be asked.
_ANY_ENCODING = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
_ONLY_THE_FILE = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(av.formats_available - _LISTS)),
}


def open_file(path: Path) -> InputContainer:
    """
    Raises:
        av.error.FFmpegError: if it is in no format that FFmpeg knows.
    """
    return open_container(f"{_FILE}{path}", options=_ONLY_THE_FILE)


def open_container(address: str, **options: Any) -> InputContainer:
    """A container whose titles and notes may be in any encoding: nobody reads them here.

    Args:
        address: of the file or stream.
        options: of ``av.open``.

    Raises:
        av.error.FFmpegError: if it cannot be read.
    """
    return av.open(address, **_ANY_ENCODING, **options)


def beginning(container: InputContainer) -> Fraction:
    """The time at which the first of all streams of a container begins, in seconds.

    From there pictures and sound are counted, so that they keep to each other.
    """
    if container.start_time is not None:
        return Fraction(container.start_time, av.time_base)
    if not container.name.startswith(_FILE):
        return Fraction(0)
    # Matroska does not say it, but stores what comes first first.
    with open_container(container.name, options=_ONLY_THE_FILE) as again:
        first = next(again.demux(), None)
        told = None if first is None else first.pts
        return Fraction(0) if told is None else told * first.time_base


def reason(error: Exception) -> str:
    """What FFmpeg says of an error; not the address, which may hold a password."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__
