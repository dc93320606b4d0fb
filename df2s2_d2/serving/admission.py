"""Who may send a body, how large, how fast, and how many at once: asked before it is read."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from df2s2_d2.serving.problems import RequestProblem
from df2s2_d2.serving.rate_limit import RateLimit

# A body may pause so long, and is to come and to be taken at this rate on average: one that
# trickles would occupy a place for hours.
_PATIENCE_SECONDS = 20.0
_LEAST_BYTES_PER_SECOND = 20_000
# What a form has around a file.
_FORM_BYTES = 65_536


@dataclass
class Lane:
    """Requests of one kind, which share their places.

    Attributes:
        most_bytes: of the file that is sent.
        places: requests at once.
        retry_after: seconds after which a place is likely to be free.
        taken: places that are.
    """

    most_bytes: int
    places: int
    retry_after: int
    taken: int = 0


class Admission:
    """ASGI middleware: refuses requests with a body, or hands on one that is bounded.

    Args:
        app: gets the requests that are admitted.
        lanes: path -> where its requests queue; bodies for other paths are not read.
        rate: of each client.
        patience: seconds for which a body may pause, and its answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        lanes: Mapping[str, Lane],
        rate: RateLimit,
        patience: float = _PATIENCE_SECONDS,
    ):
        self._app = app
        self._lanes = lanes
        self._rate = rate
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lane = self._lanes.get(scope.get("path", ""))
        if scope["type"] != "http" or scope["method"] != "POST" or lane is None:
            return await self._app(scope, receive, send)
        body = _BoundedBody(receive, lane.most_bytes, self._patience)
        headers = dict(scope["headers"])
        try:
            self._check(scope, headers, lane)
        except RequestProblem as problem:
            if b"expect" not in headers:  # who asks before sending has sent nothing
                await body.discard()
            answer = JSONResponse({"detail": problem.detail}, problem.status_code, problem.headers)
            return await answer(scope, receive, send)

        async def send_in_time(message: Message) -> None:
            allowed = self._patience + len(message.get("body", b"")) / _LEAST_BYTES_PER_SECOND
            try:
                await asyncio.wait_for(send(message), allowed)
            except asyncio.TimeoutError:
                raise ConnectionAbortedError("the client does not take its answer") from None

        lane.taken += 1
        try:
            await self._app(scope, body.receive, send_in_time)
        finally:
            lane.taken -= 1

    def _check(self, scope: Scope, headers: Mapping[bytes, bytes], lane: Lane) -> None:
        # Other sites' pages cannot read an answer, but could keep the detector busy.
        if headers.get(b"sec-fetch-site") == b"cross-site":
            raise RequestProblem(403, "Pages of other sites may not ask this service.")
        wait = self._rate.seconds_to_wait((scope.get("client") or ("",))[0])
        if wait:
            raise RequestProblem(429, "You have sent too many requests: wait a moment.", wait)
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > lane.most_bytes + _FORM_BYTES:
            raise _too_large(lane.most_bytes)
        if lane.taken >= lane.places:
            raise RequestProblem(
                503, "Too many requests are being answered: try again soon.", lane.retry_after
            )


class _BoundedBody:
    """The messages of a request, as long as they are within its lane's bounds."""

    def __init__(self, receive: Receive, most_bytes: int, patience: float):
        self._receive = receive
        self._most_bytes = most_bytes + _FORM_BYTES
        self._patience = patience
        self._started = time.monotonic()
        self._num_bytes = 0
        self._is_complete = False

    async def receive(self) -> Message:
        """The next message.

        Raises:
            RequestProblem: if the body is too large or comes too slowly.
        """
        if self._is_complete:  # what comes is the end of the connection, whenever that may be
            return await self._receive()
        message = await self._next()
        if self._num_bytes > self._most_bytes:
            await self.discard()
            raise _too_large(self._most_bytes - _FORM_BYTES)
        return message

    async def discard(self) -> None:
        """Let pass what is still to come, as far as twice what is taken.

        A client whose connection is closed while it sends is not told why.
        """
        with contextlib.suppress(RequestProblem):
            while not self._is_complete and self._num_bytes <= 2 * self._most_bytes:
                await self._next()

    async def _next(self) -> Message:
        allowed = self._patience + self._num_bytes / _LEAST_BYTES_PER_SECOND
        left = allowed - (time.monotonic() - self._started)
        try:
            message = await asyncio.wait_for(self._receive(), left)
        except asyncio.TimeoutError:
            raise RequestProblem(408, "The file came too slowly, and was not waited for.") from None
        self._num_bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        return message


def _too_large(most_bytes: int) -> RequestProblem:
    return RequestProblem(
        413, f"The file has more than {most_bytes / 1e6:g} MB: send a smaller one."
    )
