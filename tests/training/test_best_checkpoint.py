"""The best model of a run, also of one that goes on."""

from __future__ import annotations

import pytest

from tests.training.short_runs import ScriptedTrainer, load, run, same_weights


def test_best_model_follows_hard(config, tmp_path):
    cfg = config(TEST__EVAL_PERIOD=1, SOLVER__CHECKPOINT_PERIOD=1)
    run(cfg, ScriptedTrainer, script=[0.2, 0.6, 0.5, 0.4])
    best = load(tmp_path / "model_best.pth")
    assert best["iteration"] == 1
    assert same_weights(best, load(tmp_path / "model_0000001.pth"))
    assert not same_weights(best, load(tmp_path / "model_0000002.pth"))
    assert best["best"] == {"metric": "wider_face/AP_hard", "figure": 0.6}


def test_best_model_can_follow_another_figure(config, tmp_path):
    cfg = config(TEST__EVAL_PERIOD=1, TEST__BEST_METRIC="wider_face/AP_easy")
    run(cfg, ScriptedTrainer, script=[0.1, 0.2, 0.3, 0.4])
    assert load(tmp_path / "model_best.pth")["iteration"] == 0  # AP_easy never gets better


def test_without_evaluation_there_is_no_best_model(config, tmp_path):
    run(config(SOLVER__MAX_ITER=1))
    assert not (tmp_path / "model_best.pth").exists()


@pytest.mark.parametrize("later, kept", [([0.3, 0.4], True), ([0.3, 0.7], False)])
def test_resumed_run_remembers_the_best_figure(config, tmp_path, later, kept):
    cfg = config(SOLVER__MAX_ITER=6, SOLVER__CHECKPOINT_PERIOD=1, TEST__EVAL_PERIOD=2)
    run(cfg, ScriptedTrainer, stop_at=3, script=[0.5])
    before = load(tmp_path / "model_best.pth")
    run(cfg, ScriptedTrainer, resume=True, script=later)
    assert same_weights(before, load(tmp_path / "model_best.pth")) == kept


def test_run_that_stopped_behind_a_best_model_remembers_it(config, tmp_path):
    """The best model may be the last file that was written, and the figure before it worse."""
    cfg = config(SOLVER__MAX_ITER=6, SOLVER__CHECKPOINT_PERIOD=2, TEST__EVAL_PERIOD=1)
    run(cfg, ScriptedTrainer, stop_at=3, script=[0.1, 0.2, 0.6])
    before = load(tmp_path / "model_best.pth")
    assert before["iteration"] == 2
    # However far the run goes back, nothing that follows is better than 0.6.
    run(cfg, ScriptedTrainer, resume=True, script=[0.5] * 6)
    assert same_weights(before, load(tmp_path / "model_best.pth"))


def test_finished_run_can_be_extended_without_a_gap(config, tmp_path):
    run(config(TEST__EVAL_PERIOD=2), ScriptedTrainer, script=[0.2, 0.6])  # best at the end
    best = load(tmp_path / "model_best.pth")
    longer = config(TEST__EVAL_PERIOD=2, SOLVER__MAX_ITER=6)
    trainer = run(longer, ScriptedTrainer, resume=True, script=[0.5, 0.5])
    assert trainer.start_iter == 4
    assert same_weights(best, load(tmp_path / "model_best.pth"))
