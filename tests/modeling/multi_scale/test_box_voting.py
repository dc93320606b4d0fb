"""Box voting, by hand and against a loop over boxes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from df2s2_d2.modeling.multi_scale.box_voting import box_voting
from tests.modeling.references import iou
from tests.modeling.scenes import random_faces


def slow_voting(boxes, scores, classes, threshold, keep_single_votes):
    """The best box left and all that overlap it, again and again, in float64."""
    left = np.argsort(-scores, kind="stable")
    merged = []
    while len(left):
        first = left[0]
        joins = (classes[left] == classes[first]) & (iou(boxes[left], boxes[first]) >= threshold)
        joins[0] = True
        group, left = left[joins], left[~joins]
        if len(group) > 1 or keep_single_votes:
            box = (boxes[group] * scores[group, None]).sum(axis=0) / scores[group].sum()
            merged.append((*box, scores[first], classes[first]))
    return np.array(merged).reshape(-1, 6)


def vote(boxes, scores, classes=None, threshold=0.3, **options):
    boxes = torch.tensor(np.reshape(boxes, (-1, 4)), dtype=torch.float32)
    scores = torch.tensor(scores, dtype=torch.float32)
    if classes is None:
        classes = np.zeros(len(scores))
    classes = torch.tensor(classes, dtype=torch.int64)
    return box_voting(boxes, scores, classes, threshold, **options)


def test_by_hand():
    boxes = [
        [0, 0, 10, 10],
        [0, 0, 10, 8],  # IoU 0.8 with the first
        [50, 50, 60, 60],
        [2, 0, 12, 10],  # IoU 2 / 3 with the first
    ]
    merged, scores, classes = vote(boxes, [0.5, 0.25, 0.625, 0.25])
    assert scores.tolist() == [0.625, 0.5]
    np.testing.assert_allclose(merged, [[50, 50, 60, 60], [0.5, 0, 10.5, 9.5]], rtol=1e-6)
    assert classes.tolist() == [0, 0]
    merged, scores, _ = vote(boxes, [0.5, 0.25, 0.625, 0.25], keep_single_votes=False)
    assert scores.tolist() == [0.5]
    np.testing.assert_allclose(merged, [[0.5, 0, 10.5, 9.5]], rtol=1e-6)


def test_an_iou_at_the_threshold_is_enough():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 5]]
    assert len(vote(boxes, [0.5, 0.25], threshold=0.5)[0]) == 1
    assert len(vote(boxes, [0.5, 0.25], threshold=0.51)[0]) == 2


def test_classes_vote_apart():
    merged, scores, classes = vote([[0, 0, 10, 10]] * 3, [0.5, 0.75, 0.25], classes=[3, 0, 3])
    assert (scores.tolist(), classes.tolist()) == ([0.75, 0.5], [0, 3])
    assert merged.tolist() == [[0, 0, 10, 10]] * 2


@pytest.mark.parametrize("keep_single_votes", [True, False])
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_equals_a_loop(threshold, keep_single_votes):
    rng = np.random.default_rng(3)
    faces = random_faces(rng, 120, (400, 600), sides=(8, 120))
    boxes = np.repeat(faces, 6, axis=0).astype(np.float64)
    boxes += rng.normal(0, 0.15, boxes.shape) * np.repeat(boxes[:, 2:] - boxes[:, :2], 2, axis=1)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    boxes = boxes.astype(np.float32).astype(np.float64)
    scores = rng.permutation(len(boxes)) / len(boxes) * 0.9 + 0.05
    scores = scores.astype(np.float32).astype(np.float64)
    classes = rng.integers(0, 2, len(boxes))
    expected = slow_voting(boxes, scores, classes, threshold, keep_single_votes)
    assert 50 < len(expected) < len(boxes)
    merged = vote(boxes, scores, classes, threshold, keep_single_votes=keep_single_votes)
    np.testing.assert_allclose(merged[0], expected[:, :4], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(merged[1], expected[:, 4], rtol=1e-6)
    np.testing.assert_array_equal(merged[2], expected[:, 5])


def test_boxes_that_none_votes_with_stay_exactly_as_they_are():
    boxes = np.random.default_rng(0).uniform(0, 9, (50, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2] + 1
    boxes += 100 * np.arange(50, dtype=np.float32)[:, None]
    scores = np.linspace(0.99, 0.01, 50).astype(np.float32)
    merged, kept, _ = vote(boxes, scores)
    np.testing.assert_array_equal(merged, boxes)
    np.testing.assert_array_equal(kept, scores)


def test_no_box_is_no_error():
    merged, scores, classes = vote([], [])
    assert (merged.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))


def test_memory_is_bounded():
    """20,000 boxes that hardly overlap: all their pairs at once would take gigabytes."""
    code = """
import resource, torch
from df2s2_d2.modeling.multi_scale.box_voting import box_voting
generator = torch.Generator().manual_seed(0)
corner = torch.rand(20_000, 2, generator=generator) * 20_000
boxes = torch.cat((corner, corner + 20), dim=1)
scores = torch.rand(20_000, generator=generator)
classes = torch.zeros(20_000, dtype=torch.int64)
box_voting(boxes[:10], scores[:10], classes[:10], 0.3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
merged = box_voting(boxes, scores, classes, 0.3)[0]
assert 15_000 < len(merged) <= 20_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300
