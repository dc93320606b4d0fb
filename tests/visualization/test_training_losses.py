from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.visualization.training_losses import plot_losses
from tests.drawings import check_picture, lines_of


def write_metrics(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(iteration: int, total: float, **others: float) -> dict:
    return {"iteration": iteration, "total_loss": total, "lr": 0.01, **others}


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
