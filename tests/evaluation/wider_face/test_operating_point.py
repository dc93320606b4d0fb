from __future__ import annotations

import math

import numpy as np
import pytest

from df2s2_d2.evaluation import GroundTruth
from df2s2_d2.evaluation.wider_face.operating_point import judge_detections
from tests.evaluation.wider_face.reference import judge_image
from tests.evaluation.wider_face.scenes import random_scene


def test_verdicts_worked_out_by_hand():
    boxes = {"e/a": np.array([[0, 0, 9, 9], [50, 0, 9, 9], [100, 0, 9, 9]]), "e/b": np.zeros(0)}
    kept = {"hard": {"e/a": np.array([True, True, False])}}
    truth = GroundTruth.from_annotations(boxes, kept)
    stray = [300, 0, 9, 9]
    rows = [
        [1, 0, 9, 9, 0.5],  # face 0, but the next detection is better
        [0, 0, 9, 9, 0.9],  # face 0
        [50, 0, 9, 9, 0.4],  # face 1, below the operating score
        [100, 0, 9, 9, 0.8],  # the ignored face
        [*stray, 0.7],
    ]
    detections = {"e/a": np.array(rows), "e/b": np.array([[*stray, 0.7]]), "e/c": np.ones((3, 5))}
    point = judge_detections(detections, truth, "hard", score=0.5)
    assert point.detections[:, 4].tolist() == [0.5, 0.9, 0.8, 0.7, 0.7]
    assert point.image_index.tolist() == [0, 0, 0, 0, 1]
    assert point.is_hit.tolist() == [False, True, False, False, False]
    # Images without annotated faces are left out of the counts, as by the benchmark.
    assert point.is_false.tolist() == [True, False, False, True, False]
    assert point.found.tolist() == [True, False, True]
    assert point.missed.tolist() == [False, True, False]
    counts = (point.num_found, point.num_missed, point.num_false)
    assert [count.tolist() for count in counts] == [[1, 0], [1, 0], [2, 0]]
    assert judge_detections(detections, truth, "hard", score=0.4).num_missed.tolist() == [0, 0]


@pytest.mark.parametrize("score", [-math.inf, 0.45, 2.0])
def test_counts_agree_with_the_plain_loops(score):
    images = [f"e/{k}" for k in range(10)]
    boxes, truth, detections = random_scene(images, seed=3)
    point = judge_detections(detections, truth, "hard", score)
    totals = np.zeros(3, int)
    for number, image in enumerate(images):
        kept = truth.kept["hard"][truth.image_index == number].tolist()
        rows = [row for row in detections.get(image, np.zeros((0, 5))).tolist() if row[4] >= score]
        verdicts = judge_image(rows, boxes[image].tolist(), kept, 0.5)
        found = sum(is_new for _, _, is_new in verdicts)
        proposals = sum(is_proposal for _, is_proposal, _ in verdicts)
        expected = np.array([found, sum(kept) - found, proposals - found])
        counts = (point.num_found[number], point.num_missed[number], point.num_false[number])
        np.testing.assert_array_equal(counts, expected)
        totals += expected
    assert totals[1] > 0 and (score == 2 or totals.min() > 0)
    assert totals.tolist() == [point.is_hit.sum(), point.missed.sum(), point.is_false.sum()]


def test_unknown_setting_is_named():
    _, truth, detections = random_scene(["e/0", "e/1"], seed=0)
    with pytest.raises(ValueError, match="no setting 'easy', only hard"):
        judge_detections(detections, truth, "easy")
