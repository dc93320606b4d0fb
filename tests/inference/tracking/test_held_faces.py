from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.inference.tracking.held_faces import HeldFaces
from df2s2_d2.inference.tracking.sightings import Sightings

BOX = np.array([[10.0, 20, 30, 50]])


def held_faces(*sightings: tuple[float, np.ndarray], max_gap: float = 1.0) -> HeldFaces:
    """Of one face, number 7, seen at these times; frames between them have none."""
    held = HeldFaces(max_gap)
    for time, boxes in sightings:
        held.add(time, np.full(len(boxes), 7), boxes)
    return held


def test_faces_that_were_found_are_where_they_were_found():
    held = HeldFaces()
    boxes = np.concatenate([BOX, BOX + 100])
    held.add(0.0, np.array([2, 5]), boxes)
    held.add(0.1, np.array([2, 5]), boxes + 9)
    np.testing.assert_allclose(held.boxes_at(0.0), boxes)
    np.testing.assert_allclose(held.boxes_at(0.1), boxes + 9)


def test_between_two_sightings_a_face_moves_steadily_in_time():
    held = held_faces((0.0, BOX), (0.1, BOX[:0]), (0.8, BOX + [80, 0, 96, 8]))
    np.testing.assert_allclose(held.boxes_at(0.1), BOX + [10, 0, 12, 1])
    np.testing.assert_allclose(held.boxes_at(0.4), BOX + [40, 0, 48, 4])


@pytest.mark.parametrize("sign", [1, -1])
def test_at_its_ends_a_face_may_go_on_or_stay(sign):
    """It moves by 100 pixels a second, towards its last or its first sighting."""
    times = (0.0, 0.1, 0.2)[::sign]
    held = HeldFaces()
    for time, shift in sorted(zip(times, (0, 10, 20), strict=True)):
        held.add(time, np.array([1]), BOX + [shift, 0, shift, 0])
    # Half a second from the end it is anywhere between there and 50 pixels further on.
    moment = 0.7 if sign == 1 else -0.5
    np.testing.assert_allclose(held.boxes_at(moment), [[30, 20, 100, 50]])


def test_a_face_that_was_seen_once_is_held_where_it_was():
    held = held_faces((0.5, BOX))
    np.testing.assert_allclose(held.boxes_at(0.0), BOX)
    np.testing.assert_allclose(held.boxes_at(1.4), BOX)


def test_a_face_moves_on_until_it_is_held_no_longer():
    """What told its motion may be longer ago than that."""
    held = held_faces(*((i / 10, BOX + [10 * i, 0, 10 * i, 0]) for i in range(5)), max_gap=0.3)
    for time in (0.5, 0.6, 0.69):
        expected = BOX + [40, 0, 100 * time, 0]
        np.testing.assert_allclose(held.boxes_at(time), expected)


@pytest.mark.parametrize("moment", [-0.6, 1.6])
def test_no_face_is_held_for_longer_than_the_longest_gap(moment):
    assert held_faces((0.5, BOX)).boxes_at(moment).shape == (0, 4)


def test_nothing_is_held_without_a_gap():
    held = held_faces((0.0, BOX), (0.1, BOX[:0]), (0.2, BOX), max_gap=0.0)
    assert [len(held.boxes_at(moment)) for moment in (0.0, 0.1, 0.2)] == [1, 0, 1]


def test_frames_without_faces_hold_none():
    held = held_faces((0.0, BOX[:0]), (0.1, BOX[:0]))
    assert held.boxes_at(0.1).shape == (0, 4)


def test_memory_holds_the_frames_around_one_moment():
    sightings = Sightings()
    for index in range(1000):
        sightings.add(index / 10, np.array([1]), BOX)
        sightings.forget(index / 10 - 1)
        assert len(sightings._frames) <= 17  # and what the motion at the beginning rests on


def test_motion_is_that_of_the_line_through_the_sightings():
    """Boxes that tremble by a pixel give a tenth of the error of the last two alone."""
    rng = np.random.default_rng(0)
    times, errors, errors_of_two = np.arange(12) / 25, [], []
    for _ in range(100):
        boxes = BOX + np.outer(times, [50, 20, 50, 20]) + rng.normal(size=(12, 4))
        sightings = Sightings()
        for time, box in zip(times, boxes, strict=True):
            sightings.add(float(time), np.array([1]), box[None])
        errors.append(sightings.last_until(1.0).velocities[0] - [50, 20])
        centres = (boxes[-2:, :2] + boxes[-2:, 2:]) / 2
        errors_of_two.append((centres[1] - centres[0]) * 25 - [50, 20])
    assert np.abs(np.mean(errors)) < 1
    assert np.std(errors) < 0.2 * np.std(errors_of_two)


def test_motion_of_an_exact_line_is_its_slope():
    sightings = Sightings()
    for time in (0.0, 0.1, 0.4, 0.5):
        sightings.add(time, np.array([3, 1]), np.concatenate([BOX + 30 * time, BOX - 7 * time]))
    tracks = sightings.last_until(0.45)
    np.testing.assert_array_equal(tracks.ids, [1, 3])
    np.testing.assert_allclose(tracks.times, 0.4)
    np.testing.assert_allclose(tracks.velocities, [[-7, -7], [30, 30]])
    np.testing.assert_allclose(tracks.boxes_at(1.4), np.concatenate([BOX - 9.8, BOX + 42]))
    np.testing.assert_allclose(sightings.first_from(0.2).times, 0.4)
