from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from df2s2_d2.evaluation import GroundTruth, PublishedCurves, evaluate_wider_face
from df2s2_d2.evaluation.figures import as_rgb
from df2s2_d2.evaluation.wider_face.precision_recall_plot import (
    draw_precision_recall,
    plot_precision_recall,
)
from tests.drawings import check_picture, lines_of


@pytest.fixture
def result():
    """Two faces of three settings, both found, with a false alarm between."""
    boxes = {"e/a": np.array([[0, 0, 60, 60], [100, 100, 80, 80]])}
    found = [[0, 0, 60, 60, 0.9], [300, 300, 50, 50, 0.7], [100, 100, 80, 80, 0.5]]
    return evaluate_wider_face({"e/a": np.array(found)}, GroundTruth.from_heights(boxes))


def test_precision_recall_has_a_panel_a_setting_and_a_curve_a_result(result, tmp_path, figures):
    path = tmp_path / "curves.png"
    plot_precision_recall({"ours": result, "theirs": result}, path, title="short side 800")
    check_picture(path)
    (figure,) = figures
    assert [axes.get_title() for axes in figure.axes] == ["Easy", "Medium", "Hard"]
    assert figure.get_suptitle() == "short side 800"
    ap = result.ap["AP_hard"]
    assert ap == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    curves = lines_of(figure.axes[2])
    assert list(curves) == [f"ours {ap:.3f}", f"theirs {ap:.3f}"]
    recall, precision = curves[f"ours {ap:.3f}"]
    assert (recall[-1], precision[-1]) == (1.0, pytest.approx(2 / 3))


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_ending_is_the_format(result, tmp_path, ending):
    path = tmp_path / f"curves.{ending}"
    plot_precision_recall({"ours": result}, path)
    magic = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[ending]
    assert path.read_bytes().startswith(magic)


def test_unknown_endings_are_named(result, tmp_path):
    with pytest.raises(ValueError, match=r"curves\.what cannot be written: .*what"):
        plot_precision_recall({"ours": result}, tmp_path / "curves.what")


def published(setting: str, ap: float) -> PublishedCurves:
    """A curve that falls at once: as high as its AP."""
    point = {setting: np.array([ap])}, {setting: np.array([1.0])}
    return PublishedCurves({f"AP_{setting}": ap}, *point)


def test_legends_are_sorted_and_published_curves_recede(result, figures):
    results = {"low": published("hard", 0.2), "ours": result, "best": published("hard", 0.9)}
    figure = draw_precision_recall(results, axes_from=0.5)
    assert [axes.get_title() for axes in figure.axes] == ["Easy", "Medium", "Hard"]
    easy, _, hard = figure.axes
    assert list(lines_of(hard)) == ["best 0.900", "ours 0.833", "low 0.200"]
    assert list(lines_of(easy)) == ["ours 0.833"]  # the others have no curve there
    best, ours, low = hard.get_lines()
    assert ours.get_linewidth() > best.get_linewidth() and ours.get_zorder() > best.get_zorder()
    styles = {(line.get_color(), line.get_linestyle()) for line in (best, ours, low)}
    assert len(styles) == 3
    assert easy.get_lines()[0].get_color() == ours.get_color()
    assert [hard.get_xlim()[0], hard.get_ylim()[0]] == [0.5, 0.5]


def test_twenty_methods_look_different():
    results = {f"m{k}": published("easy", k / 20) for k in range(20)}
    lines = draw_precision_recall(results).axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 20


def test_pixels_of_a_figure(result):
    picture = as_rgb(draw_precision_recall({"ours": result}), dpi=50)
    assert picture.shape == (220, 660, 3) and picture.dtype == np.uint8
    assert (picture[:3, :3] == 255).all() and picture.min() < 60


def test_drawing_needs_neither_a_display_nor_torch():
    module = "df2s2_d2.evaluation.wider_face.precision_recall_plot"
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={})
    assert done.stdout.strip() == "False", done.stderr
