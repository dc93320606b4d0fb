from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.evaluation.fddb.one_to_one_matching import match_at_thresholds, match_regions
from tests.evaluation.fddb.reference import best_matching


@pytest.mark.parametrize("seed", range(40))
def test_equals_trying_all_matchings_at_every_threshold(seed):
    """Sparse overlaps, of which many tie in total, and scores of which many are equal."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 8), rng.integers(1, 6)
    overlaps = rng.random(shape) * (rng.random(shape) < 0.6)
    scores = rng.integers(0, 6, size=shape[0]) / 5
    counts = match_at_thresholds(overlaps, scores)
    assert counts.thresholds.tolist() == sorted(set(scores), reverse=True)
    for k, threshold in enumerate(counts.thresholds):
        kept = scores >= threshold
        matched = best_matching(overlaps[kept])
        assert counts.num_detections[k] == kept.sum()
        assert counts.total_overlap[k] == pytest.approx(sum(matched), abs=1e-12)
        assert counts.num_found[k] == sum(value > 0.5 for value in matched)


def test_a_case_worked_out_by_hand():
    # The second detection takes the face from the first, which moves on to a worse one; then both
    # move again: 0.9 < 0.6 + 0.8 < 0.6 + 0.7 + 0.4 although a found face is lost for it.
    overlaps = np.array([[0.9, 0.6, 0.0], [0.8, 0.0, 0.4], [0.7, 0.0, 0.0]])
    counts = match_at_thresholds(overlaps, np.array([0.9, 0.8, 0.7]))
    np.testing.assert_allclose(counts.total_overlap, [0.9, 1.4, 1.7])
    assert counts.num_found.tolist() == [1, 2, 2]
    assert counts.num_detections.tolist() == [1, 2, 3]


def test_an_overlap_of_one_half_finds_no_face():
    counts = match_at_thresholds(np.array([[0.5, 0.0]]), np.array([1.0]))
    assert (counts.num_found.tolist(), counts.total_overlap.tolist()) == ([0], [0.5])


def test_pairs_without_overlap_are_no_pairs():
    rows, columns = match_regions(np.array([[0.0, 0.2], [0.0, 0.0]]))
    assert (rows.tolist(), columns.tolist()) == ([0], [1])


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (0, 0)])
def test_nothing_to_match(shape):
    scores = np.linspace(0.9, 0.1, shape[0])
    counts = match_at_thresholds(np.zeros(shape), scores)
    assert counts.thresholds.tolist() == scores.tolist()
    assert counts.num_found.tolist() == [0] * shape[0]
    assert counts.num_detections.tolist() == list(range(1, shape[0] + 1))
