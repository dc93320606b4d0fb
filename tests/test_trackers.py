"""The sweep of docs/trackers.md, over trainings of a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from tests.document_snippets import ROOT, snippets
from tests.small_runs import NARROW, SMALLEST, SMALLEST_CONFIG, registered, wider_face_files


@pytest.fixture
def recipe() -> dict:
    """What the page's first block of Python defines."""
    names: dict = {}
    exec(next(snippets(ROOT / "docs/trackers.md", "python")).code, names)
    return names


def test_a_sweep_finds_the_best_trial_and_goes_on(recipe, sample_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        f"sweep_{split}": wider_face_files(sample_dataset, split) for split in ("train", "val")
    }
    keys = {key.replace("__", "."): value for key, value in (SMALLEST | NARROW).items()}
    keys |= {"DATASETS.TRAIN": ("sweep_train",), "DATASETS.TEST": ("sweep_val",)}
    keys |= {"INPUT.MIN_SIZE_TRAIN": (64,), "SOLVER.MAX_ITER": 2, "TEST.EVAL_PERIOD": 1}
    del keys["SOLVER.BASE_LR"]
    settings = [part for pair in keys.items() for part in pair]
    figure = "wider_face/AP_hard"
    with registered(**files):
        for trials in (1, 2):
            study = recipe["sweep"](
                SMALLEST_CONFIG, settings, figure, trials=1, storage="sqlite:///sweep.db"
            )
            assert len(study.trials) == trials
    assert all(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
    for trial in study.trials:
        folder = Path(f"output/rates/{trial.number}")
        rows = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
        tests = {row["iteration"]: row[figure] for row in rows if figure in row}
        # The one in between, which may end a trial, and the last, which is its value.
        assert tests == {**trial.intermediate_values, 2: trial.value}
        assert {row["lr"] for row in rows if "lr" in row} == {trial.params["SOLVER.BASE_LR"]}
    assert study.best_value == max(trial.value for trial in study.trials)


def test_a_trial_that_falls_behind_ends(recipe):
    class Behind:
        def report(self, figure, iteration):
            self.reported = figure, iteration

        def should_prune(self):
            return True

    class Trainer:
        class storage:
            iter = 3

            @staticmethod
            def latest():
                return {"AP": (0.25, 3), "other": (0.5, 2)}

    report = recipe["Report"](Behind(), "AP")
    report.trainer = Trainer
    with pytest.raises(optuna.TrialPruned):
        report.after_step()
    assert report.trial.reported == (0.25, 3)
    report = recipe["Report"](Behind(), "other")
    report.trainer = Trainer
    report.after_step()  # a test of an earlier step was dealt with
