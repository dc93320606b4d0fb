from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.inference.media import frame_search
from df2s2_d2.inference.media.found_faces import FoundFaces, TrackedBoxes
from df2s2_d2.inference.media.held_frames import HeldFrames
from tests.inference.media.scenes import video_frame

BOX = np.array([[10.0, 20, 30, 50]])
FRAME_BYTES = video_frame(0, 0.0).image.nbytes


def found_faces(index: int, *, is_seen: bool = True) -> FoundFaces:
    """One frame of ten a second, with one face or none."""
    boxes = BOX[: int(is_seen)]
    tracked = TrackedBoxes(np.ones(len(boxes), np.int64), boxes)
    return FoundFaces(video_frame(index, index / 10), tracked=tracked)


def test_frames_come_in_order_with_the_faces_of_later_ones():
    found = [found_faces(index, is_seen=index in (5, 9)) for index in range(15)]
    held = list(HeldFrames(0.45).through(found))
    assert [item.frame.index for item in held] == list(range(15))
    # Four frames before the first and after the last sighting, and all between them.
    assert [len(item.hidden) for item in held] == [0] + [1] * 13 + [0]


@pytest.mark.parametrize(("most_frames", "delay"), [(1000, 5), (3, 3), (0, 0)])
def test_frames_wait_for_a_moment_or_until_they_take_too_many_bytes(
    monkeypatch, most_frames, delay
):
    monkeypatch.setattr(frame_search, "MOST_BYTES", most_frames * FRAME_BYTES)
    num_taken = 0

    def found():
        nonlocal num_taken
        for num_taken in range(1, 101):
            yield found_faces(num_taken - 1)

    for number, item in enumerate(HeldFrames(0.45).through(found())):
        assert item.frame.index == number
        assert num_taken <= number + 1 + delay
        if number == 50:
            assert num_taken == 51 + delay


def test_a_gap_is_closed_from_its_beginning_where_frames_cannot_wait(monkeypatch):
    monkeypatch.setattr(frame_search, "MOST_BYTES", 0)
    found = [found_faces(index, is_seen=index in (2, 9)) for index in range(10)]
    held = list(HeldFrames(0.45).through(found))
    assert [len(item.hidden) for item in held] == [0, 0, 1, 1, 1, 1, 1, 0, 0, 1]


def test_what_waits_when_the_search_is_ended_is_not_lost():
    held = HeldFrames(0.45)
    through = held.through(found_faces(index) for index in range(20))
    given = [next(through).frame.index for _ in range(3)]
    through.close()
    assert given + [item.frame.index for item in held.rest()] == list(range(8))
    assert list(held.rest()) == []


def test_frames_whose_faces_are_unknown_pass():
    found = [found_faces(0), FoundFaces(video_frame(1, 0.1)), found_faces(2)]
    held = list(HeldFrames(0.45).through(found))
    assert [item.frame.index for item in held] == [0, 1, 2]
    np.testing.assert_allclose(held[1].hidden, BOX)
