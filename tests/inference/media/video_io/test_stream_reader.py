"""Streams through connections that are drawn here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np
import pytest

from df2s2_d2.inference.media.video_io import stream_reader
from df2s2_d2.inference.media.video_io.reader import VideoReader
from df2s2_d2.inference.media.video_io.stream_reader import StreamReader

PATIENCE = 0.2


class Clock:
    """Only waiting, and what is told it, moves it: tests are the same on any machine."""

    def __init__(self):
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class Connection(VideoReader):
    """Gives pictures of a colour, one a millisecond."""

    fps = 1000.0
    frame_bytes = 12
    is_finite = False

    def __init__(self, colours: Iterable[int], broke_off: str = "no answer in time", **properties):
        self.colours = colours
        self.will_break_off = broke_off
        self.is_closed = False
        for name, value in properties.items():
            setattr(self, name, value)

    def pictures(self):
        for number, colour in enumerate(self.colours):
            yield np.full((2, 2, 3), colour, np.uint8), number / 1000
        self.broke_off = self.will_break_off

    def fault(self, num_read):
        raise AssertionError("the stream has its own faults")

    def close(self):
        self.is_closed = True


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stream_reader, "monotonic", clock)
    monkeypatch.setattr(stream_reader, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(stream_reader, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(stream_reader, "_MOST_WAITING", 1000)

    class Stop(threading.Event):
        def wait(self, timeout: float) -> bool:
            clock.waits.append(timeout)
            clock.pass_by(timeout)
            return self.is_set()

    with_clock = SimpleNamespace(**{**vars(threading), "Event": Stop})
    monkeypatch.setattr(stream_reader, "threading", with_clock)
    return clock


def stream(first: Connection, *others: Connection | OSError, patience: float = PATIENCE, **options):
    """A stream that has these connections, and then none."""
    remaining = list(others)

    def connect() -> Connection:
        following = remaining.pop(0) if remaining else OSError("Connection refused")
        if isinstance(following, OSError):
            raise following
        return following

    return StreamReader(first, connect, "rtsp://camera/1", patience=patience, **options)


def colours(reader: StreamReader) -> list[int]:
    return [int(image[0, 0, 0]) for image, _ in reader.pictures()]


def test_connections_follow_each_other(caplog):
    connections = [Connection(range(3)), Connection([]), Connection(range(3, 6))]
    reader = stream(connections[0], OSError("No route to host"), *connections[1:])
    with caplog.at_level(logging.WARNING):
        assert colours(reader) == list(range(6))
    reader.close()
    assert all(connection.is_closed for connection in connections)
    assert caplog.messages == [
        "The stream rtsp://camera/1 broke off (no answer in time): it is tried again for 0.2 "
        "seconds",
        "The stream rtsp://camera/1 is there again",
        "The stream rtsp://camera/1 broke off (no answer in time): it is tried again for 0.2 "
        "seconds",
    ]
    assert reader.fault(6) == (
        "The stream rtsp://camera/1 gives no more frames (Connection refused), although it was "
        "tried again for 0.2 seconds: check that it is still there"
    )


def test_time_rises_through_all_connections():
    reader = stream(*(Connection(range(5)) for _ in range(4)))
    times = [seconds for _, seconds in reader.pictures()]
    assert len(times) == 20 and times[0] == 0
    assert (np.diff(times) > 0).all()


def test_connection_that_was_silent_for_longer_than_patience_is_tried_again(clock):
    def silent():
        yield 0
        clock.pass_by(2 * PATIENCE)

    assert colours(stream(Connection(silent()), Connection([1]))) == [0, 1]


def test_connections_without_a_frame_do_not_last_for_ever():
    def connect() -> Connection:
        return Connection([])

    reader = StreamReader(Connection([7]), connect, "rtsp://camera/1", patience=PATIENCE)
    assert colours(reader) == [7]
    assert "(no answer in time), although it was tried" in reader.fault(1)


@pytest.mark.parametrize(
    ("first", "patience", "fault"),
    [
        (Connection([1], broke_off="", is_finite=True), PATIENCE, None),
        (Connection([1], broke_off=""), 0, None),
        (
            Connection([1]),
            0,
            "The stream rtsp://camera/1 gives no more frames (no answer in time): check that it is "
            "still there",
        ),
    ],
    ids=["ends", "ends unasked", "breaks off unasked"],
)
def test_stream_is_not_tried_again_if_it_ended_or_nobody_wants_it(first, patience, fault):
    reader = stream(first, Connection([2]), patience=patience)
    assert colours(reader) == [1]
    assert reader.fault(1) == fault


def test_slow_eyes_see_what_is_new(monkeypatch, caplog):
    """The first frame is looked at until all others have come."""
    monkeypatch.setattr(stream_reader, "_MOST_WAITING", 3)
    first_is_seen, all_came = threading.Event(), threading.Event()

    def frames():
        yield 0
        first_is_seen.wait(60)
        yield from range(1, 10)
        all_came.set()

    reader, seen = stream(Connection(frames()), patience=0), []
    for image, _ in reader.pictures():
        seen.append(int(image[0, 0, 0]))
        first_is_seen.set()
        assert all_came.wait(60)
    with caplog.at_level(logging.WARNING):
        reader.close()
    assert seen == [0, 7, 8, 9]
    assert "6 frames were left out" in caplog.text


def test_stream_can_be_left_at_any_time():
    hangs = threading.Event()

    def frames():
        yield from range(3)
        hangs.wait(60)

    connection = Connection(frames())
    reader = stream(connection)
    pictures = reader.pictures()
    next(pictures)
    pictures.close()
    hangs.set()
    reader.close()
    assert connection.is_closed


def test_stream_that_nobody_looked_at_is_closed():
    connection = Connection([1])
    stream(connection).close()
    assert connection.is_closed


def test_fault_of_a_library_reaches_who_looks():
    def frames():
        yield 0
        raise ZeroDivisionError("in the thread")

    reader = stream(Connection(frames()))
    with pytest.raises(ZeroDivisionError, match="in the thread"):
        colours(reader)
    reader.close()


def test_pictures_that_come_in_a_burst_are_seen_at_the_pace_of_the_stream(clock):
    assert colours(stream(Connection(range(5)), patience=0)) == list(range(5))
    assert clock.waits == pytest.approx([0, 0.001, 0.001, 0.001, 0.001], abs=1e-9)


@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "gone"])
def test_stream_of_which_nothing_comes_is_left_after_its_time(clock, is_silent):
    """Not after its patience, which may be that of a day."""
    is_left = threading.Event()

    def frames():
        yield 0
        clock.pass_by(60 + stream_reader._GRACE)
        if is_silent:
            is_left.wait(60)

    def connect() -> Connection:
        is_left.wait(60)
        raise OSError("Connection refused")

    reader = StreamReader(
        Connection(frames()), connect, "rtsp://camera/1", patience=86400, duration=60
    )
    assert colours(reader) == [0]
    assert reader.fault(1) is None
    is_left.set()
    reader.close()
