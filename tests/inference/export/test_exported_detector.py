"""How far two lists of detections are apart."""

from __future__ import annotations

import pytest
import torch

from df2s2_d2.inference.export import difference
from df2s2_d2.modeling.postprocessing import Detections


def detections(*rows: tuple[float, ...]) -> Detections:
    """Detections of rows x1, y1, x2, y2, score, image."""
    values = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].long())


def test_equal_detections_do_not_differ_in_whatever_order():
    rows = [(0, 0, 10, 10, 0.9, 0), (20, 20, 30, 30, 0.8, 0), (0, 0, 10, 10, 0.7, 1)]
    assert difference(detections(*rows), detections(*reversed(rows))) == (3, 0, 1.0, 0.0)


def test_the_largest_differences_of_pairs_count():
    a = detections((0, 0, 10, 10, 0.9, 0), (20, 20, 30, 30, 0.8, 0))
    b = detections((0, 0, 10, 9, 0.9, 0), (20, 20, 30, 30, 0.5, 0))
    result = difference(a, b)
    assert (result.pairs, result.unmatched) == (2, 0)
    assert result.min_iou == pytest.approx(0.9)
    assert result.max_score_difference == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([(0, 0, 10, 10, 0.9, 0)], [(0, 0, 10, 10, 0.9, 1)]),  # in different images
        ([(0, 0, 10, 10, 0.9, 0)], [(0, 6, 10, 16, 0.9, 0)]),  # too far apart
        ([(0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.9, 0)], []),
    ],
)
def test_detections_without_a_partner_are_counted(a, b):
    assert difference(detections(*a), detections(*b)) == (0, len(a) + len(b), 1.0, 0.0)
    assert difference(detections(*b), detections(*a)) == (0, len(a) + len(b), 1.0, 0.0)


def test_one_detection_is_the_partner_of_one_only():
    double = detections((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 10, 0.4, 0))
    result = difference(double, detections((0, 0, 10, 10, 0.4, 0)))
    assert result == (1, 1, 1.0, 0.0)
    assert difference(double, double) == (2, 0, 1.0, 0.0)


def test_nothing_does_not_differ_from_nothing():
    assert difference(detections(), detections()) == (0, 0, 1.0, 0.0)
