"""The drawn street: what is said of its faces is what is seen."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "datasets"))

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


def test_boxes_are_around_the_pixels_that_a_face_alone_changes():
    """Two frames that differ in nothing but one face that went by differ there most."""
    for frame in draw(2):
        assert frame.image.shape == (*SIZE, 3) and frame.image.dtype == np.uint8
        assert frame.boxes.shape == (len(frame.people), 4)
        assert len(np.unique(frame.people)) == len(frame.people)
        sides = frame.boxes[:, 2:] - frame.boxes[:, :2]
        assert (sides > 0).all() and (sides[:, 1] >= sides[:, 0]).all()
        assert ((frame.shown > 0) & (frame.shown <= 1)).all()
        inside = np.maximum(frame.boxes[:, :2], 0) < np.minimum(frame.boxes[:, 2:], SIZE[::-1])
        assert inside.all()
