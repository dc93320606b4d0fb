"""Servers of streams on this machine, which break off: by HTTP and by RTSP."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import socketserver
import struct
import sys
import threading
from collections.abc import Iterator, Sequence

import av

_FIRST_TIME = 1_000_000  # of RTP, which begins anywhere


class StreamServer(socketserver.ThreadingTCPServer):
    """Gives each connection what is next, and hangs up; when nothing is left, at once.

    Attributes:
        num_served: connections that got something.
    """

    allow_reuse_address = True
    daemon_threads = True
    scheme = ""

    def __init__(self, handler: type[_Connection], sessions: Sequence, login: str = ""):
        """
        Args:
            handler: of connections.
            sessions: what each gives.
            login: "user:password" that it asks for; empty for none.
        """
        super().__init__(("127.0.0.1", 0), handler)
        self.login = login
        self.num_served = 0
        self._sessions = list(sessions)

    def address(self, path: str = "live") -> str:
        login = f"{self.login}@" if self.login else ""
        return (
            f"{self.RequestHandlerClass.scheme}://{login}127.0.0.1:{self.server_address[1]}/{path}"
        )

    def next_session(self):
        """What the next connection gives; None if nothing is left."""
        if not self._sessions:
            return None
        self.num_served += 1
        return self._sessions.pop(0)

    def handle_error(self, *address) -> None:
        """Who has seen enough hangs up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*address)


@contextlib.contextmanager
def serving(server: StreamServer) -> Iterator[StreamServer]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Connection(socketserver.StreamRequestHandler):
    scheme = ""

    def read_request(self) -> tuple[str, str, dict[str, str]] | None:
        """Method, address and headers of the next request; None if there is none."""
        line = self.rfile.readline().decode()
        if not line.strip():
            return None
        method, address, _ = line.split()
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return method, address, headers

    def may_enter(self, headers: dict[str, str]) -> bool:
        login = base64.b64encode(self.server.login.encode()).decode()
        return not self.server.login or headers.get("authorization") == f"Basic {login}"


class HttpStream(_Connection):
    """A stream by HTTP, of sessions in bytes: their length is not told."""

    scheme = "http"

    def handle(self) -> None:
        request = self.read_request()
        if request is None:
            return
        if not self.may_enter(request[2]):
            self.wfile.write(
                b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="a"\r\n'
                b"Connection: close\r\nContent-Length: 0\r\n\r\n"
            )
            return
        session = self.server.next_session()
        if session is not None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + session)


class HttpFile(_Connection):
    """A file on a web server, of sessions (file, most bytes): more are not sent at once."""

    scheme = "http"

    def handle(self) -> None:
        request = self.read_request()
        session = None if request is None else self.server.next_session()
        if session is None:
            return
        content, most = session
        start = int(re.match(r"bytes=(\d+)-", request[2].get("range", "bytes=0-"))[1])
        self.wfile.write(
            b"HTTP/1.1 206 Partial Content\r\nAccept-Ranges: bytes\r\n"
            b"Content-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n"
            % (start, len(content) - 1, len(content), len(content) - start)
        )
        self.wfile.write(content[start : start + most])


class RtspStream(_Connection):
    """A camera by RTSP, of sessions that are MPEG transport streams with H.264.

    Its packets go through the connection that asks for them, as RTP (RFC 2326, RFC 6184).
    """

    scheme = "rtsp"

    def handle(self) -> None:
        session = None
        while (request := self.read_request()) is not None:
            method, address, headers = request
            if not self.may_enter(headers):
                self._answer(headers, '401 Unauthorized\r\nWWW-Authenticate: Basic realm="a"')
            elif method == "OPTIONS":
                self._answer(headers, "200 OK\r\nPublic: DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == "DESCRIBE":
                session = self.server.next_session()
                if session is None:
                    self._answer(headers, "404 Not Found")
                    return
                sdp = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
                    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                    "a=fmtp:96 packetization-mode=1\r\na=control:video\r\n"
                )
                self._answer(headers, "200 OK\r\nContent-Type: application/sdp", sdp)
            elif method == "SETUP":
                transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
                self._answer(headers, f"200 OK\r\nTransport: {transport}\r\nSession: 1")
            elif method == "PLAY":
                self._answer(headers, "200 OK\r\nSession: 1")
                self._play(session)
                return
            else:
                self._answer(headers, "200 OK")

    def _answer(self, headers: dict[str, str], status: str, body: str = "") -> None:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.wfile.write(
            f"RTSP/1.0 {status}\r\nCSeq: {headers.get('cseq', 0)}\r\n{length}\r\n{body}".encode()
        )

    def _play(self, session: bytes) -> None:
        number = 0
        with av.open(io.BytesIO(session)) as container:
            for packet in container.demux(video=0):
                units = [unit for unit in re.split(rb"\0{2,3}\x01", bytes(packet)) if unit]
                for unit in units:
                    marker = 0x80 if unit is units[-1] else 0
                    time = packet.pts + _FIRST_TIME
                    head = struct.pack(">BBHII", 0x80, marker | 96, number & 0xFFFF, time, 1)
                    self.wfile.write(struct.pack(">cBH", b"$", 0, len(head + unit)) + head + unit)
                    number += 1
