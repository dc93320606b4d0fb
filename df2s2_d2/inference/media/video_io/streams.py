"""Addresses -> readers of what is shown there, by PyAV."""

from __future__ import annotations

import av

from df2s2_d2.inference.media.addresses import SCHEMES
from df2s2_d2.inference.media.video_io.containers import open_container, reason
from df2s2_d2.inference.media.video_io.pyav_reader import PyAvReader
from df2s2_d2.inference.media.video_io.reader import VideoReader
from df2s2_d2.inference.media.video_io.stream_reader import StreamReader

# Seconds without a byte after which a connection is broken; lists of short files come in bursts.
_SILENCE = 15.0
# What a server may refer to: no files of this machine.
_PROTOCOLS = ",".join((*SCHEMES, "rtp", "srtp", "tcp", "tls", "httpproxy", "crypto", "data"))
_OPTIONS = {
    "protocol_whitelist": _PROTOCOLS,
    # Packets that get lost leave grey stripes over many pictures.
    "rtsp_flags": "prefer_tcp",
    # Of a file on a web server the rest is fetched after a connection broke off.
    "reconnect": "1",
}


def open_stream(
    address: str, place: str, *, patience: float, duration: float | None = None
) -> VideoReader:
    """Connect to a stream, or to a video on a web server, which is read as a file is.

    Args:
        address: of it.
        place: what it is called in messages.
        patience: seconds for which a stream that breaks off is tried again.
        duration: seconds for which it is to be looked at; None for its end.

    Raises:
        OSError: if there is none; names it.
    """

    def connect() -> PyAvReader:
        return _connect(address, place)

    try:
        connection = connect()
    except OSError as error:
        raise OSError(
            f"The stream {place} cannot be opened ({error}): check the address, and that it can be "
            "reached from here"
        ) from error
    is_file = address.lower().startswith("http") and connection.is_finite
    if is_file:
        return connection
    return StreamReader(connection, connect, place, patience=patience, duration=duration)


def _connect(address: str, place: str) -> PyAvReader:
    """
    Raises:
        OSError: says why there is no connection; not where, as the address may hold a password.
    """
    try:
        container = open_container(address, options=_OPTIONS, timeout=(_SILENCE, _SILENCE))
    except av.error.FFmpegError as error:
        raise OSError(reason(error)) from None
    try:
        return PyAvReader(container, place)
    except OSError as error:
        raise OSError(f"it gives {error}") from error
