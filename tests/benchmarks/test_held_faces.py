from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import held_faces, make_table
from benchmarks.held_faces import DrawnDetector, Faces, count_exposed


def test_benchmark_counts_fewer_exposed_faces_the_longer_they_are_held(tmp_path):
    output = tmp_path / "held_faces.json"
    options = ["--videos", "1", "--frames", "24", "--fps", "8", "--people", "4"]
    options += ["--size", "96", "128", "--missed", "0.3", "--max-gaps", "0", "1", "3"]
    held_faces.main([*options, "--output", str(output)])
    document = json.loads(output.read_text())
    none, some, most = document["results"]
    assert none["face_frames"] == some["face_frames"] > 20
    assert none["exposed"] > 0.1 * none["face_frames"]
    assert none["exposed"] > some["exposed"] >= most["exposed"]
    assert none["hidden_share"] < some["hidden_share"] < most["hidden_share"] < 1
    assert none["tracks"] > most["tracks"] >= 1
    table = make_table.to_markdown(document)
    assert table.count("\n") == 1 + 2 + 3


def test_drawn_detector_misses_its_share_in_bursts_and_is_near_the_rest():
    detector = DrawnDetector(np.random.default_rng(0), num_people=50, missed=0.2)
    faces = Faces(np.tile([100.0, 100, 140, 150], (50, 1)), np.arange(50))
    found = [detector(faces)[0] for _ in range(400)]
    assert np.mean([len(boxes) for boxes in found]) == pytest.approx(40, abs=1.5)
    errors = np.concatenate(found) - faces.boxes[0]
    np.testing.assert_allclose(errors.std(axis=0), np.array([40, 50, 40, 50]) * 0.04, rtol=0.05)


def test_a_face_is_exposed_if_less_than_nine_tenths_of_it_are_hidden():
    known = [Faces(np.array([[40.0, 40, 60, 60]]), np.array([0]))] * 3
    # The regions are larger by a fifth on each side: to column 60, to 59 and to 55.
    hidden = [np.array([[38.0, 36, right, 64]]) for right in (56.4, 55.4, 52)]
    exposed, share = count_exposed(known, hidden, (100, 100))
    assert exposed == 1
    assert 0.05 < share < 0.12
    assert count_exposed(known[:1], [np.zeros((0, 4))], (100, 100)) == (1, 0)
