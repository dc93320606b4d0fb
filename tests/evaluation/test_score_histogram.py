from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from df2s2_d2.evaluation import GroundTruth
from df2s2_d2.evaluation.score_histogram import plot_score_histogram
from df2s2_d2.evaluation.wider_face.operating_point import judge_detections


@pytest.mark.parametrize("scores", [(0.0, 0.5, 1.0, 0.98), (0.7,) * 4])
def test_detections_are_counted_by_score_and_verdict(monkeypatch, scores):
    faces = {"e/a": np.array([[0, 0, 20, 20], [50, 0, 20, 20], [100, 0, 5, 5]], float)}
    boxes = np.array([[300, 0, 9, 9], [0, 0, 20, 20], [50, 0, 20, 20], [100, 0, 5, 5]])
    rows = np.column_stack((boxes, scores))
    point = judge_detections({"e/a": rows}, GroundTruth.from_heights(faces), score=-np.inf)
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: saved.append(self))
    plot_score_histogram(point, io.BytesIO(), 0.5)
    (axes,) = saved[0].axes
    curves = {stairs.get_label(): stairs.get_data() for stairs in axes.patches}
    assert list(curves) == ["finds a face: 2", "false positive: 1", "not counted: 1"]
    for (name, curve), chosen in zip(curves.items(), ([1, 2], [0], [3]), strict=True):
        inside = [np.searchsorted(curve.edges[1:-1], scores[k], side="right") for k in chosen]
        counts = np.bincount(inside, minlength=len(curve.values))
        np.testing.assert_array_equal(curve.values, counts, err_msg=name)
