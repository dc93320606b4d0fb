"""The drawn street: what is said of its faces is what is seen."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "datasets"))

from sample_faces.backgrounds import draw_background  # noqa: E402
from sample_faces.passers_by import draw_video  # noqa: E402

SIZE, TIMES = (120, 160), np.arange(8) / 4


def draw(seed: int):
    return list(draw_video(np.random.default_rng(seed), SIZE, 5, TIMES))


def test_a_video_follows_from_its_seed_and_people_move_in_it():
    first, again, other = draw(0), draw(0), draw(1)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.boxes, two.boxes)
    assert any((one.image != two.image).any() for one, two in zip(first, other, strict=True))
    centres: dict[int, list[np.ndarray]] = {}
    for frame in first:
        for person, box in zip(frame.people.tolist(), frame.boxes, strict=True):
            centres.setdefault(person, []).append((box[:2] + box[2:]) / 2)
    assert any(np.ptp(np.array(path), axis=0).max() > 10 for path in centres.values())


def test_faces_are_drawn_where_the_boxes_are():
    street = draw_background(np.random.default_rng(2), SIZE, "Street").astype(int)
    num_whole = 0
    for frame in draw(2):
        assert frame.image.shape == (*SIZE, 3) and frame.image.dtype == np.uint8
        assert frame.boxes.shape == (len(frame.people), 4)
        assert len(np.unique(frame.people)) == len(frame.people)
        is_changed = np.abs(frame.image - street).max(axis=2) > 3
        for (x1, y1, x2, y2), shown in zip(frame.boxes.astype(int), frame.shown, strict=True):
            assert 0 < shown <= 1
            region = is_changed[max(y1, 0) : y2, max(x1, 0) : x2]
            assert region.size and region.mean() > 0.6 * shown
            num_whole += shown == 1
    assert num_whole > 5


def test_who_is_behind_somebody_shows_less():
    """The nearest of ten in a narrow street cover others."""
    frames = draw_video(np.random.default_rng(3), (80, 100), 10, TIMES)
    assert min(frame.shown.min() for frame in frames) < 0.2
