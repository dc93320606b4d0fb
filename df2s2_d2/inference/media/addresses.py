"""Addresses of streams: which there are, and what may be shown of them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import SplitResult, urlsplit, urlunsplit

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp")
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://", re.IGNORECASE)
# Cameras take passwords among the parameters too, and these in the path, as in
# /user=anna_password=secret_channel=1.sdp.
_WORD = "(?:pass|pwd|token|secret|key|sig|auth)"
_SECRET = re.compile(rf"(?<![^?&])([^=&]*{_WORD}[^=&]*=)[^&]*", re.IGNORECASE)
_SECRET_IN_PATH = re.compile(rf"({_WORD}[^=&;/]*=)[^&;/]*?(?=_[a-z]+=|[&;/]|$)", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether a text begins as the addresses do at which videos are looked for."""
    return _ADDRESS.match(text) is not None


def suffix(address: str) -> str:
    """The suffix of the file at an address, in lower case, such as ``.mp4``; empty for none.

    Raises:
        ValueError: if it is no address.
    """
    return PurePosixPath(_split(address).path).suffix.lower()


def without_secrets(address: str) -> str:
    """An address as it may stand in results and messages: without user, password and keys.

    Raises:
        ValueError: if it is no address.
    """
    parts = _split(address)
    return urlunsplit(
        parts._replace(
            netloc=_host(parts),
            path=_path(parts),
            query=_SECRET.sub(r"\1…", parts.query),
            fragment="",
        )
    )


def file_name(address: str) -> str:
    """A name for a file that is made of a stream, of its host and path.

    Raises:
        ValueError: if it is no address.
    """
    parts = _split(address)
    return re.sub(r"[^\w.-]+", "_", _host(parts) + _path(parts)).strip("_.") or "stream"


def _host(parts: SplitResult) -> str:
    """Host and port."""
    return parts.netloc.rpartition("@")[2]


def _path(parts: SplitResult) -> str:
    """The path without what is secret in it."""
    return _SECRET_IN_PATH.sub(r"\1…", parts.path)


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        scheme = address.partition(":")[0]
        raise ValueError(f"An address that begins with {scheme}:// is none: {error}") from error
