from __future__ import annotations

import pytest

from df2s2_d2.inference.media.video_io.stream_clock import StreamClock


def times(*frames: tuple[float | None, float], clock: StreamClock | None = None) -> list[float]:
    clock = clock or StreamClock(0.1)
    return [clock.time_of(told, now) for told, now in frames]


def test_time_is_the_streams_however_its_frames_come():
    """In a burst, and then late."""
    found = times((70.0, 1000.0), (70.1, 1000.0), (70.3, 1000.0), (70.4, 1005.0))
    assert found == pytest.approx([0, 0.1, 0.3, 0.4])


def test_time_that_leaps_is_that_on_the_wall():
    found = times((70.0, 1000.0), (70.1, 1000.1), (9e4, 1000.5), (9e4 + 0.1, 1000.5))
    assert found == pytest.approx([0, 0.1, 0.5, 0.6])
    found = times((70.0, 1000.0), (3.0, 1000.7), (3.2, 1000.8))
    assert found == pytest.approx([0, 0.7, 0.9])


@pytest.mark.parametrize("told", [70.2, 0.0, 500.0], ids=["goes on", "from 0", "elsewhere"])
def test_time_between_two_connections_is_that_on_the_wall(told):
    clock = StreamClock(0.1)
    assert times((70.0, 1000.0), (70.1, 1000.1), clock=clock) == pytest.approx([0, 0.1])
    clock.break_off()
    found = times((told, 1030.0), (told + 0.1, 1030.0), clock=clock)
    assert found == pytest.approx([30, 30.1])


def test_frames_without_a_time_follow_each_other():
    """Cameras do not tell that of their first frames, which come in a burst, or late."""
    found = times((None, 5.0), (None, 5.0), (70.0, 5.0), (70.1, 5.0), (None, 9.0))
    assert found == pytest.approx([0, 0.1, 0.2, 0.3, 4.0])
    found = times((None, 5.0), (70.0, 5.8), (70.1, 5.9))
    assert found == pytest.approx([0, 0.1, 0.2])


def test_connection_that_comes_back_at_once_does_not_go_back():
    clock = StreamClock(0.1)
    times((0.0, 5.0), (0.3, 5.0), clock=clock)
    clock.break_off()
    assert times((0.0, 5.1), clock=clock) == pytest.approx([0.4])


def test_frame_is_due_when_it_would_have_come():
    clock = StreamClock(0.1)
    seconds = times((70.0, 1000.0), (70.5, 1000.0), clock=clock)
    assert [clock.due(value) for value in seconds] == pytest.approx([1000, 1000.5])
