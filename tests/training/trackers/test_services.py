"""Trainings that MLflow and Weights & Biases keep, without a network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from detectron2.engine import HookBase

from df2s2_d2.training.lazy_settings import plain_values, run_settings
from df2s2_d2.training.trackers import TrackerWriter, check_trackers
from tests.small_runs import NARROW
from tests.training.lazy_runs import small_lazy_config
from tests.training.short_runs import ScriptedTrainer, reports, run
from tests.training.trackers import wandb_files

PATIENCE = 300.0  # seconds


@pytest.fixture
def tracked_config(config, tmp_path, monkeypatch):
    """Function that makes the config of a run of six steps, tested after every second one."""
    monkeypatch.chdir(tmp_path)  # trackers of files leave theirs there
    monkeypatch.setattr(ScriptedTrainer, "write_period", 1)
    # MLflow makes its database meanwhile, which takes long on a machine that does other work.
    monkeypatch.setattr(TrackerWriter.__init__, "__defaults__", (PATIENCE,))

    def make(*trackers: str, **overrides):
        settings = {
            **NARROW,
            "INPUT__MIN_SIZE_TRAIN": (64,),
            "SOLVER__MAX_ITER": 6,
            "TEST__EVAL_PERIOD": 2,
            "SOLVER__CHECKPOINT_PERIOD": 2,
            "TRACKERS": trackers,
            "OUTPUT_DIR": str(tmp_path / "output"),
        }
        return config(**{**settings, **overrides})

    return make


@pytest.fixture
def fresh_wandb() -> Iterator[None]:
    """wandb as a process finds it: it reads the environment once."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


class Picture(HookBase):
    """Shows a picture in the second step, as the evaluators do."""

    def after_step(self):
        if self.trainer.iter == 1:
            self.trainer.storage.put_image("drawn/curves", np.zeros((3, 8, 8), np.uint8))


def stop_and_resume(cfg) -> None:
    """A run that breaks off in its fourth step and goes on with its third."""
    run(cfg, ScriptedTrainer, stop_at=3, script=[0.25], hooks=[Picture()])
    run(cfg, ScriptedTrainer, resume=True, script=[0.5, 0.75])


def figures_by_name(folder: Path) -> dict[str, set[tuple[int, float]]]:
    """What metrics.json says at last: name -> (iteration, value)."""
    found = {}
    for row in reports(folder):
        for name, value in row.items():
            found.setdefault(name, set()).add((row["iteration"], value))
    del found["iteration"]
    return found


def test_mlflow_keeps_one_run_over_a_resume(tracked_config, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "drawn")
    cfg = tracked_config("mlflow")
    check_trackers(cfg)
    stop_and_resume(cfg)
    assert "fails" not in caplog.text and "lacks" not in caplog.text

    from mlflow import MlflowClient

    client = MlflowClient()
    (experiment,) = (e for e in client.search_experiments() if e.name == "drawn")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == f"{tmp_path.name}/output"
    assert kept.data.params["SOLVER.BASE_LR"] == "0.001"
    expected = figures_by_name(tmp_path / "output")
    for name in ("total_loss", "loss_box_reg", "lr", "wider_face/AP_hard"):
        history = client.get_metric_history(kept.info.run_id, name)
        # The step that was done twice is there twice, with the same loss.
        assert {(m.step, m.value) for m in history} >= expected[name], name
    assert {m.step for m in client.get_metric_history(kept.info.run_id, "total_loss")} == {
        *range(6)
    }
    artifacts = {artifact.path for artifact in client.list_artifacts(kept.info.run_id)}
    assert artifacts == {"images", "settings.json"}

    # What starts anew is another run.
    cfg = tracked_config("mlflow", SOLVER__MAX_ITER=1)
    run(cfg, ScriptedTrainer, script=[0.1])
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_wandb_keeps_one_run_over_a_resume(
    tracked_config, tmp_path, monkeypatch, caplog, fresh_wandb
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    cfg = tracked_config("wandb")
    check_trackers(cfg)
    stop_and_resume(cfg)
    assert "fails" not in caplog.text and "lacks" not in caplog.text
    files = sorted((tmp_path / "output/wandb").glob("offline-run-*/run-*.wandb"))
    (run_id,) = {path.stem.removeprefix("run-") for path in files}
    assert run_id == (tmp_path / "output/wandb_run_id.txt").read_text().strip()
    rows = [row for path in files for row in wandb_files.history(path)]
    (picture,) = (row for row in rows if "drawn/curves._type" in row)
    assert (picture["drawn/curves._type"], picture["iteration"]) == ("image-file", 1)
    kept = {}
    for row in rows:
        for name, value in row.items():
            kept.setdefault(name, set()).add((row["iteration"], value))
    expected = figures_by_name(tmp_path / "output")
    for name in ("total_loss", "loss_box_reg", "lr", "wider_face/AP_hard"):
        assert kept[name] >= expected[name], name
    assert {i for i, _ in kept["total_loss"]} == {*range(6)}
    assert wandb_files.config(files[0])["SOLVER"]["BASE_LR"] == 0.001


def test_what_a_tracker_lacks_is_told_before_the_training(config, monkeypatch):
    with pytest.raises(ValueError, match="TRACKERS is 'wanbd' .is it wandb.*: .* mlflow, wandb"):
        check_trackers(config(TRACKERS=("wanbd",)))
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(
        ValueError, match=r"TRACKERS has mlflow. .* pip install 'df2s2_d2\[mlflow\]'"
    ):
        check_trackers(config(TRACKERS=("mlflow",)))


def test_wandb_needs_a_key_unless_it_is_offline(config, tmp_path, monkeypatch, fresh_wandb):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "absent"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no API key .*: run `wandb login`, or set WANDB_MODE=off"):
        check_trackers(config(TRACKERS=("wandb",)))


def test_a_lazy_config_names_trackers_and_is_shown_to_them(tmp_path):
    lazy = small_lazy_config(tmp_path, "train.trackers=[mlflow]")
    assert run_settings(lazy).TRACKERS == ("mlflow",)
    shown = plain_values(lazy)
    assert shown["train"]["max_iter"] == 4 and shown["train"]["trackers"] == ["mlflow"]
    assert "FaceDetector" in shown["model"]["_target_"]
