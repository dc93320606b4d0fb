from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from df2s2_d2.evaluation import GroundTruth, PublishedCurves, evaluate_wider_face
from df2s2_d2.evaluation.plots import (
    as_rgb,
    draw_precision_recall,
    plot_losses,
    plot_precision_recall,
)


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved during the test, in order."""
    saved = []
    save = Figure.savefig

    def savefig(self, *args, **kwargs):
        saved.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


@pytest.fixture
def result():
    """Two faces of three settings, both found, with a false alarm between."""
    boxes = {"e/a": np.array([[0, 0, 60, 60], [100, 100, 80, 80]])}
    found = [[0, 0, 60, 60, 0.9], [300, 300, 50, 50, 0.7], [100, 100, 80, 80, 0.5]]
    return evaluate_wider_face({"e/a": np.array(found)}, GroundTruth.from_heights(boxes))


def write_metrics(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(iteration: int, total: float, **others: float) -> dict:
    return {"iteration": iteration, "total_loss": total, "lr": 0.01, **others}


def lines_of(axes) -> dict[str, tuple[list, list]]:
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
    }


def check_picture(path: Path) -> None:
    image = imread(path)[..., :3]
    assert min(image.shape[:2]) > 200
    inked = (image < 0.95).any(axis=2).mean()
    assert 0.005 < inked < 0.5, "something is drawn, and it is not a black page"


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


def test_losses_and_rate_are_drawn(tmp_path, figures):
    rows = [row(i, 3.0 - i / 50, loss_cls=2.0, loss_box_reg=1.0) for i in (19, 39, 59)]
    # Reports of evaluations stand among those of losses.
    rows.insert(2, {"iteration": 50, "wider_face/AP_hard": 0.3})
    path = tmp_path / "losses.png"
    plot_losses(write_metrics(tmp_path / "metrics.json", rows), path)
    check_picture(path)
    losses, rate = figures[0].axes
    curves = lines_of(losses)
    assert curves.keys() == {"total_loss", "loss_cls", "loss_box_reg"}
    assert curves["total_loss"] == ([19, 39, 59], pytest.approx([2.62, 2.22, 1.82]))
    assert lines_of(rate) == {"lr": ([19, 39, 59], [0.01] * 3)}


def test_iterations_repeated_after_a_resume_count_once(tmp_path, figures):
    rows = [row(19, 3.0), row(39, 2.0), row(59, 9.0), row(39, 1.5), row(59, 1.0)]
    plot_losses(write_metrics(tmp_path / "metrics.json", rows), tmp_path / "losses.png")
    curve = lines_of(figures[0].axes[0])["total_loss"]
    assert curve == ([19, 39, 59], [3.0, 1.5, 1.0])


def test_loss_that_appears_later_is_drawn_where_it_is(tmp_path, figures):
    rows = [row(19, 3.0), row(39, 2.0, loss_mask=0.5)]
    plot_losses(write_metrics(tmp_path / "metrics.json", rows), tmp_path / "losses.png")
    _, values = lines_of(figures[0].axes[0])["loss_mask"]
    assert np.isnan(values[0]) and values[1] == 0.5


@pytest.mark.parametrize("rows", [[], [{"iteration": 3, "wider_face/AP_hard": 0.5}]])
def test_metrics_without_losses_are_an_error(tmp_path, rows):
    path = write_metrics(tmp_path / "metrics.json", rows)
    with pytest.raises(ValueError, match="metrics.json holds no losses"):
        plot_losses(path, tmp_path / "losses.png")
    assert not (tmp_path / "losses.png").exists()


def test_drawing_needs_neither_a_display_nor_torch():
    code = "import sys, df2s2_d2.evaluation.plots as p; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={})
    assert done.stdout.strip() == "False", done.stderr
