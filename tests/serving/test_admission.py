from __future__ import annotations

import asyncio
import json

import pytest

from df2s2_d2.serving.admission import Admission, Lane
from df2s2_d2.serving.problems import RequestProblem
from df2s2_d2.serving.rate_limit import RateLimit
from tests.serving.services import SECONDS

MOST_BYTES = 1000
FORM_BYTES = 65_536


def chunk(size: int, more: bool = True) -> dict:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


class Exchange:
    """A request through an Admission, and what became of it.

    Attributes:
        status, headers, sentence: of the answer.
        received: bytes of the body that came to the application.
        taken_off: messages that were taken off the connection.
        problem: that the application met while it read the body.
    """

    def __init__(self, body: list[dict], *, path: str = "/images", headers=(), **options):
        self.lane = options.pop("lane", Lane(MOST_BYTES, 2, 7))
        rate = options.pop("rate", RateLimit(0))
        self.received = 0
        self.problem: RequestProblem | None = None
        self.was_taken = 0
        app = Admission(self._answer, lanes={"/images": self.lane}, rate=rate, **options)
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": list(headers),
            "client": ("10.0.0.1", 1),
        }
        messages = iter(body)
        self.taken_off = 0

        async def receive() -> dict:
            if (message := next(messages, None)) is None:
                await asyncio.Event().wait()  # nothing comes any more
            self.taken_off += 1
            return message

        sent: list[dict] = []

        async def send(message: dict) -> None:
            sent.append(message)

        asyncio.run(asyncio.wait_for(app(scope, receive, send), SECONDS))
        self.status = sent[0]["status"]
        self.headers = dict(sent[0].get("headers", ()))
        self.sentence = json.loads(sent[1]["body"] or "{}").get("detail")

    async def _answer(self, scope, receive, send) -> None:
        self.was_taken = self.lane.taken
        try:
            more = True
            while more:
                message = await receive()
                self.received += len(message["body"])
                more = message["more_body"]
        except RequestProblem as problem:
            self.problem = problem
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})


def test_a_body_within_the_bounds_is_handed_on_and_takes_a_place_meanwhile():
    exchange = Exchange([chunk(600), chunk(MOST_BYTES - 600 + FORM_BYTES, more=False)])
    assert (exchange.status, exchange.problem) == (200, None)
    assert exchange.received == MOST_BYTES + FORM_BYTES
    assert (exchange.was_taken, exchange.lane.taken) == (1, 0)


def test_a_body_that_is_announced_too_large_is_refused():
    announced = [(b"content-length", b"10000000000")]
    exchange = Exchange([chunk(30_000)] * 100, headers=announced)
    assert (exchange.status, exchange.received) == (413, 0)
    assert exchange.sentence == "The file has more than 0.001 MB: send a smaller one."
    # As far as 2 * 66,536 bytes, so that a client which sends before it listens is told.
    assert exchange.taken_off == 5
    exchange = Exchange([], headers=[*announced, (b"expect", b"100-continue")])
    assert (exchange.status, exchange.taken_off) == (413, 0)


def test_a_body_that_grows_too_large_is_refused():
    exchange = Exchange([chunk(30_000)] * 100, headers=[(b"content-length", b"100")])
    assert exchange.problem.status_code == 413
    assert (exchange.received, exchange.taken_off) == (60_000, 5)
    assert exchange.lane.taken == 0


def test_what_is_left_of_a_body_that_is_refused_is_not_waited_for():
    exchange = Exchange([chunk(5)], lane=Lane(MOST_BYTES, 0, 7), patience=0.01)
    assert (exchange.status, exchange.taken_off) == (503, 1)


@pytest.mark.parametrize("body", [[], [chunk(5)]])
def test_a_body_that_does_not_come_is_not_waited_for(body):
    exchange = Exchange(body, patience=0.01)
    assert exchange.problem.status_code == 408
    assert exchange.lane.taken == 0


def test_requests_beyond_the_places_are_told_when_to_come_again():
    lane = Lane(MOST_BYTES, 2, 7, taken=2)
    exchange = Exchange([chunk(1), chunk(1, more=False)], lane=lane)
    assert (exchange.status, exchange.headers[b"retry-after"]) == (503, b"7")
    assert exchange.taken_off == 2
    assert lane.taken == 2


def test_requests_beyond_the_rate_are_told_when_to_come_again():
    rate = RateLimit(2, clock=lambda: 0.0)  # one at once
    assert Exchange([chunk(1, more=False)], rate=rate).status == 200
    exchange = Exchange([chunk(1, more=False)], rate=rate)
    assert (exchange.status, exchange.headers[b"retry-after"]) == (429, b"30")


def test_a_client_that_does_not_take_its_answer_keeps_no_place():
    lane = Lane(MOST_BYTES, 2, 7)

    async def answer(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def take_nothing(message) -> None:
        await asyncio.Event().wait()

    app = Admission(answer, lanes={"/images": lane}, rate=RateLimit(0), patience=0.01)
    scope = {"type": "http", "method": "POST", "path": "/images", "headers": []}
    with pytest.raises(ConnectionAbortedError, match="does not take its answer"):
        asyncio.run(asyncio.wait_for(app(scope, None, take_nothing), SECONDS))
    assert lane.taken == 0


@pytest.mark.parametrize(
    ("site", "status"), [(b"cross-site", 403), (b"same-origin", 200), (b"none", 200)]
)
def test_pages_of_other_sites_are_refused(site, status):
    exchange = Exchange([chunk(1, more=False)], headers=[(b"sec-fetch-site", site)])
    assert exchange.status == status


def test_other_paths_are_none_of_its_business():
    lane = Lane(MOST_BYTES, 0, 7)
    exchange = Exchange([chunk(MOST_BYTES + FORM_BYTES + 1, more=False)], path="/x", lane=lane)
    assert (exchange.status, exchange.was_taken) == (200, 0)
