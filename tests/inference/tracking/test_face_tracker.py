from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.inference.tracking.face_tracker import FaceTracker

FPS = 25


def square(x: float, y: float, side: float = 20) -> list[float]:
    """A box by its centre."""
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def track(frames, *, scores=None, fps: float = FPS, **options) -> list[list[int]]:
    """Numbers of the faces of each frame."""
    tracker = FaceTracker(**options)
    numbers = []
    for index, boxes in enumerate(frames):
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        score = np.ones(len(boxes)) if scores is None else np.array(scores[index])
        numbers.append(tracker.update(boxes, score, index / fps).tolist())
    return numbers


def test_faces_keep_their_numbers_whatever_their_order():
    frames = [[square(30 + 2 * i, 40), square(90 - i, 60)] for i in range(10)]
    assert track(frames) == [[1, 2]] * 10
    turned = [boxes[::-1] if i % 2 else boxes for i, boxes in enumerate(frames)]
    assert track(turned) == [[2, 1] if i % 2 else [1, 2] for i in range(10)]


def test_faces_that_pass_each_other_keep_their_numbers():
    """In the middle each of them is where the other has just been."""
    frames = [[square(20 + 4 * i, 50), square(100 - 4 * i, 54)] for i in range(21)]
    assert track(frames) == [[1, 2]] * 21


def test_a_face_may_move_by_its_width():
    assert track([[square(20 + 10 * i, 50, side=10)] for i in range(10)]) == [[1]] * 10


def test_new_faces_get_the_next_numbers():
    frames = [[square(30, 30)], [square(30, 30), square(90, 30)], [], [square(200, 90)]]
    assert track(frames) == [[1], [1, 2], [], [3]]


@pytest.mark.parametrize(("missing", "number"), [(4, 1), (5, 2)])
def test_a_face_comes_back_within_the_longest_gap(missing, number):
    """Seen last at 0.4 s, it is seen again half a second later, or later."""
    frames = [[square(30, 30)]] * 5 + [[]] * missing + [[square(30, 30)]]
    assert track(frames, fps=10, max_gap=0.55)[-1] == [number]


def test_a_face_comes_back_where_its_motion_takes_it():
    moving = [[square(30 + 10 * i, 30)] for i in range(26)]
    frames = [boxes if i < 8 or i > 16 else [] for i, boxes in enumerate(moving)]
    numbers = track(frames)
    assert {tuple(one) for one in numbers} == {(1,), ()}


def test_frames_far_apart_are_linked_if_none_is_between_them():
    assert track([[square(30, 30)]] * 3, fps=0.1) == [[1]] * 3
    assert track([[square(30, 30)], [], [square(30, 30)]], fps=0.1) == [[1], [], [2]]


def test_weak_faces_go_on_with_a_track_and_begin_none():
    frames = [[square(30, 30), square(90, 30)]] * 4
    scores = [[0.9, 0.3], [0.3, 0.3], [0.05, 0.05], [0.9, 0.9]]
    assert track(frames, scores=scores, threshold=0.5) == [[1, 0], [1, 0], [0, 0], [1, 2]]


def test_a_weak_face_takes_no_track_from_a_strong_one():
    frames = [[square(30, 30)], [square(30, 30), square(32, 30)]]
    assert track(frames, scores=[[0.9], [0.4, 0.9]]) == [[1], [0, 1]]


def test_numbers_are_unique_and_those_of_their_boxes_in_crowds():
    rng = np.random.default_rng(0)
    boxes = np.array([square(40 * x, 40 * y) for x in range(12) for y in range(10)])
    velocity = rng.uniform(-1, 1, (len(boxes), 2))
    expected = np.arange(1, len(boxes) + 1)
    tracker = FaceTracker()
    for index in range(20):
        moved = boxes + np.tile(index * velocity, 2) + rng.normal(0, 0.5, boxes.shape)
        order = rng.permutation(len(boxes)) if index else np.arange(len(boxes))
        ids = tracker.update(moved[order], np.ones(len(boxes)), index / FPS)
        np.testing.assert_array_equal(ids, expected[order])


def test_an_unsound_box_is_refused_and_changes_nothing():
    tracker = FaceTracker()
    box = np.array([square(30, 30)])
    tracker.update(box, np.ones(1), 0.0)
    with pytest.raises(ValueError, match="not finite"):
        tracker.update(box * np.nan, np.ones(1), 0.1)
    assert tracker.update(box, np.ones(1), 0.2).tolist() == [1]


def test_a_second_video_is_refused():
    """Its faces would go on with the numbers of the first."""
    tracker = FaceTracker()
    box = np.array([square(30, 30)])
    for time in (0.0, 3.0, 3.0):
        tracker.update(box, np.ones(1), time)
    with pytest.raises(ValueError, match="^A frame at 0 s follows one at 3 s: make a FaceTracker"):
        tracker.update(box, np.ones(1), 0.0)
