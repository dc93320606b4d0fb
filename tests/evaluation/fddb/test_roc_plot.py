from __future__ import annotations

import numpy as np

from df2s2_d2.evaluation.fddb import evaluate_fddb
from df2s2_d2.evaluation.fddb.roc_plot import plot_roc
from tests.drawings import check_picture


def result_of(found_at: int):
    """One of two faces found, among 3,000 false positives."""
    boxes = np.tile([0.0, 0, 3, 3], (3001, 1))
    boxes[found_at] = [80, 70, 40, 60]
    rows = np.column_stack([boxes, np.linspace(1, 0.1, len(boxes))])
    faces = np.array([[30.0, 20, np.pi / 2, 100, 100], [30, 20, np.pi / 2, 200, 100]])
    return evaluate_fddb({"a": rows}, {"01": {"a": faces}}, {"a": (300, 200)})


def test_both_curves_of_every_result(tmp_path, figures):
    results = {"early": result_of(50), "late": result_of(1500)}
    plot_roc(results, tmp_path / "roc.png", title="short side 800")
    (figure,) = figures
    assert figure.get_suptitle() == "short side 800"
    discrete, continuous = figure.axes
    overlap = results["early"].continuous[-1]
    for axes, early in ((discrete, 0.5), (continuous, overlap)):
        assert axes.get_xlim() == (0, 2000)
        assert axes.get_ylim()[0] == 0
        labels = [line.get_label() for line in axes.get_lines()]
        assert labels == [f"early {early:.4f}", "late 0.0000"]
        x, y = axes.get_lines()[1].get_data()
        assert x.max() == 2000
        assert y[x < 1499].max() == 0 and y[x > 1500].min() == early
        assert axes.get_legend().get_title().get_text() == "at 1,000 false positives"
    check_picture(tmp_path / "roc.png")


def test_high_rates_are_drawn_large(tmp_path, figures):
    faces = np.array([[30.0, 20, np.pi / 2, 100, 100]])
    rows = np.array([[80.0, 70, 40, 60, 0.9]])
    result = evaluate_fddb({"a": rows}, {"01": {"a": faces}}, {"a": (300, 200)})
    plot_roc({"one": result}, tmp_path / "roc.pdf")
    assert (tmp_path / "roc.pdf").read_bytes().startswith(b"%PDF")
    discrete, continuous = figures[0].axes
    assert discrete.get_ylim() == (0.9, 1)
    assert 0.6 < continuous.get_ylim()[0] < 0.8
