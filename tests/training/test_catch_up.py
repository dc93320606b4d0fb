"""Tests and best models of runs that were cut off."""

from __future__ import annotations

import pytest
import torch

from tests.training.short_runs import load, reports
from tests.training.watched_runs import watched_config, watched_run

pytestmark = pytest.mark.usefixtures("drawn_data")


def test_what_was_trained_is_saved_before_a_test_can_fail(tmp_path):
    cfg = watched_config(tmp_path, DATASETS__TEST=("drawn_val",), TEST__EVAL_PERIOD=2)
    cfg.SOLVER.CHECKPOINT_PERIOD = 2
    with pytest.raises(ZeroDivisionError):
        watched_run(cfg, figures=[ZeroDivisionError()])
    assert load(tmp_path / "model_0000001.pth")["iteration"] == 1


def test_a_test_that_was_cut_off_is_repeated_before_the_next_step(tmp_path):
    cfg = watched_config(tmp_path, DATASETS__TEST=("drawn_val",), TEST__EVAL_PERIOD=2)
    with pytest.raises(ZeroDivisionError):
        watched_run(cfg, figures=[ZeroDivisionError()])
    trainer, steps = watched_run(cfg, figures=[0.4, 0.3])
    assert steps.keys() == {2, 3} and trainer.script == []
    tests = {r["iteration"]: r["wider_face/AP_hard"] for r in reports(tmp_path) if "lr" not in r}
    assert tests == {1: 0.4, 4: 0.3}
    best = load(tmp_path / "model_best.pth")
    assert best["iteration"] == best["trainer"]["iteration"] == 1
    assert best["best"]["figure"] == 0.4
    # A run that goes on from it does the next step, not the one behind that.
    (tmp_path / "last_checkpoint").write_text("model_best.pth")
    _, again = watched_run(cfg, figures=[0.2])
    assert again == steps


def test_a_finished_run_that_is_made_longer_does_not_repeat_its_last_test(tmp_path):
    cfg = watched_config(tmp_path, DATASETS__TEST=("drawn_val",), TEST__EVAL_PERIOD=2)
    steps = cfg.SOLVER.MAX_ITER
    watched_run(cfg, figures=[0.4, 0.3])
    cfg.SOLVER.MAX_ITER = steps + 1
    trainer, done = watched_run(cfg, figures=[0.2])
    assert done.keys() == {steps} and trainer.script == []
    tests = [r["iteration"] for r in reports(tmp_path) if "wider_face/AP_hard" in r]
    assert tests == sorted(tests) and tests[-1] == steps + 1


def test_a_best_model_that_was_lost_is_replaced(tmp_path, caplog):
    cfg = watched_config(tmp_path, DATASETS__TEST=("drawn_val",), TEST__EVAL_PERIOD=2)
    watched_run(cfg, stop_at=2, figures=[0.9])
    (tmp_path / "model_best.pth").write_bytes(b"no checkpoint")
    watched_run(cfg, figures=[0.1])
    assert load(tmp_path / "model_best.pth")["best"]["figure"] == 0.1
    assert "model_best.pth is no checkpoint" in caplog.text
    assert "the next test replaces it" in caplog.text


def test_the_best_model_by_another_figure_is_replaced(tmp_path):
    cfg = watched_config(tmp_path, DATASETS__TEST=("drawn_val",), TEST__EVAL_PERIOD=2)
    watched_run(cfg, stop_at=2, figures=[0.9])
    content = load(tmp_path / "model_best.pth")
    content["best"]["metric"] = "wider_face/AP_easy"
    torch.save(content, tmp_path / "model_best.pth")
    watched_run(cfg, figures=[0.1])
    assert load(tmp_path / "model_best.pth")["best"]["figure"] == 0.1
