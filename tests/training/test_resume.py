"""Runs that go on: with the same steps as undisturbed ones, and by the config they are given."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from detectron2.engine import HookBase, default_argument_parser
from detectron2.utils.env import seed_all_rng

import train_net
from df2s2_d2.training import Trainer, one_sentence_endings
from df2s2_d2.training.model_checks import build_untrained
from df2s2_d2.training.resume import check_start, steps_done
from tests.small_runs import (
    NARROW,
    SMALLEST_CONFIG,
    registered,
    smallest_config,
    wider_face_files,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def data_sets(sample_dataset):
    files = {
        f"resumed_{split}": wider_face_files(sample_dataset, split) for split in ("train", "val")
    }
    with registered(**files):
        yield


def config(folder: Path, **overrides):
    return smallest_config(
        **{
            **NARROW,
            "DATASETS__TRAIN": ("resumed_train",),
            "DATASETS__TEST": (),
            "INPUT__MIN_SIZE_TRAIN": (64,),
            "INPUT__PHOTOMETRIC_DISTORTION": True,
            "SOLVER__CHECKPOINT_PERIOD": 1,
            "OUTPUT_DIR": str(folder),
            **overrides,
        }
    )


class Interrupted(Exception):
    """Stands for whatever ends a run before its time."""


class Watch(HookBase):
    """Notes what every step saw, drew and lost, and breaks off before one of them."""

    def __init__(self, stop_at: int | None) -> None:
        self.stop_at = stop_at
        self.steps = {}

    def before_step(self) -> None:
        if self.trainer.iter == self.stop_at:
            raise Interrupted
        model = self.trainer._trainer.model
        self._handle = model.register_forward_hook(self._look)

    def _look(self, model, inputs, losses) -> None:
        images = [(Path(i["file_name"]).name, int(i["image"].sum())) for i in inputs[0]]
        rates = [group["lr"] for group in self.trainer.optimizer.param_groups]
        total = sum(losses.values()).item()
        self.steps[self.trainer.iter] = images, total, rates, torch.rand(1).item()

    def after_step(self) -> None:
        self._handle.remove()


class ScriptedTrainer(Trainer):
    """Its tests give the figures that are prescribed, or raise them."""

    figures: list = []

    @classmethod
    def test(cls, cfg, model, evaluators=None):
        if not cfg.DATASETS.TEST:
            return {}
        figure = cls.figures.pop(0)
        if isinstance(figure, Exception):
            raise figure
        return {"wider_face": {"AP_hard": figure}}


def run(cfg, stop_at=None, resume=True, figures=()):
    """Train by `cfg`, up to a step that does not come to its end.

    Returns:
        The trainer, and for each of its steps what :class:`Watch` noted.
    """
    ScriptedTrainer.figures = list(figures)
    seed_all_rng(cfg.SEED if cfg.SEED >= 0 else None)
    trainer = ScriptedTrainer(cfg)
    watch = Watch(stop_at)
    trainer.register_hooks([watch])
    trainer.resume_or_load(resume=resume)
    if stop_at is None:
        trainer.train()
    else:
        with pytest.raises(Interrupted):
            trainer.train()
    return trainer, watch.steps


def load(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


# The same steps


def test_a_run_that_was_killed_before_its_final_checkpoint_gets_it(tmp_path):
    cfg = config(tmp_path, SOLVER__MAX_ITER=2)
    run(config(tmp_path, SOLVER__MAX_ITER=1))  # leaves a final checkpoint of a shorter run
    short = load(tmp_path / "model_final.pth")
    run(cfg)
    expected = load(tmp_path / "model_final.pth")
    torch.save(short, tmp_path / "model_final.pth")
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    _, steps = run(cfg)
    found = load(tmp_path / "model_final.pth")
    assert steps == {} and found["iteration"] == 1
    assert all(
        torch.equal(found["model"][name], expected["model"][name]) for name in found["model"]
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_does_the_steps_of_an_undisturbed_one(tmp_path, workers):
    overrides = {"SOLVER__MAX_ITER": 5, "DATALOADER__NUM_WORKERS": workers}
    overrides |= {"SOLVER__STEPS": (2, 3), "SOLVER__WARMUP_ITERS": 2}
    _, undisturbed = run(config(tmp_path / "a", **overrides))
    assert len({str(images) for images, *_ in undisturbed.values()}) == 5
    found = {}
    for stop_at in (1, 3, None):
        _, steps = run(config(tmp_path / "b", **overrides), stop_at)
        assert not steps.keys() & found.keys()
        found |= steps
    assert found == undisturbed
    a, b = (load(tmp_path / name / "model_final.pth")["model"] for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_an_unseeded_run_goes_on_with_the_seed_that_it_drew(tmp_path):
    overrides = {"SEED": -1, "SOLVER__MAX_ITER": 4}
    overrides["DATALOADER__SAMPLER_TRAIN"] = "RandomSubsetTrainingSampler"
    overrides["DATALOADER__RANDOM_SUBSET_RATIO"] = 0.5
    first, steps = run(config(tmp_path, **overrides))
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    second, again = run(config(tmp_path, **overrides))
    assert again == {step: steps[step] for step in (2, 3)}
    assert second._trainer.data_loader.batch_sampler.seed == (
        first._trainer.data_loader.batch_sampler.seed
    )


def test_a_run_that_is_killed_loses_nothing(sample_dataset, tmp_path):
    arguments = ["--steps", "6", "--kills", "2", "--workers", "2", "--test-period", "0"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.training.killed_runs", str(tmp_path)),
            *("--data", str(sample_dataset), *arguments),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 steps, different: []" in done.stdout
    assert not list(tmp_path.glob("killed/*.partial"))


# Tests and the best model


def test_what_was_trained_is_saved_before_a_test_can_fail(tmp_path):
    cfg = config(tmp_path, DATASETS__TEST=("resumed_val",), TEST__EVAL_PERIOD=2)
    cfg.SOLVER.CHECKPOINT_PERIOD = 2
    with pytest.raises(ZeroDivisionError):
        run(cfg, figures=[ZeroDivisionError()])
    assert load(tmp_path / "model_0000001.pth")["iteration"] == 1


def test_a_test_that_was_cut_off_is_repeated_before_the_next_step(tmp_path):
    cfg = config(tmp_path, DATASETS__TEST=("resumed_val",), TEST__EVAL_PERIOD=2)
    with pytest.raises(ZeroDivisionError):
        run(cfg, figures=[ZeroDivisionError()])
    trainer, steps = run(cfg, figures=[0.4, 0.3])
    assert steps.keys() == {2, 3} and trainer.figures == []
    tests = {r["iteration"]: r["wider_face/AP_hard"] for r in metrics(tmp_path) if "lr" not in r}
    assert tests == {1: 0.4, 4: 0.3}
    best = load(tmp_path / "model_best.pth")
    assert best["iteration"] == best["trainer"]["iteration"] == 1
    assert best["best"]["figure"] == 0.4
    # A run that goes on from it does the next step, not the one behind that.
    (tmp_path / "last_checkpoint").write_text("model_best.pth")
    _, again = run(cfg, figures=[0.2])
    assert again == steps


def test_a_best_model_that_was_lost_is_replaced(tmp_path, caplog):
    cfg = config(tmp_path, DATASETS__TEST=("resumed_val",), TEST__EVAL_PERIOD=2)
    run(cfg, stop_at=2, figures=[0.9])
    (tmp_path / "model_best.pth").write_bytes(b"no checkpoint")
    run(cfg, figures=[0.1])
    assert load(tmp_path / "model_best.pth")["best"]["figure"] == 0.1
    assert "model_best.pth is no checkpoint" in caplog.text
    assert "the next test replaces it" in caplog.text


def test_the_best_model_by_another_figure_is_replaced(tmp_path):
    cfg = config(tmp_path, DATASETS__TEST=("resumed_val",), TEST__EVAL_PERIOD=2)
    run(cfg, stop_at=2, figures=[0.9])
    content = load(tmp_path / "model_best.pth")
    content["best"]["metric"] = "wider_face/AP_easy"
    torch.save(content, tmp_path / "model_best.pth")
    run(cfg, figures=[0.1])
    assert load(tmp_path / "model_best.pth")["best"]["figure"] == 0.1


def test_an_iteration_stands_in_metrics_once(tmp_path):
    cfg = config(tmp_path, SOLVER__MAX_ITER=3)
    run(cfg, stop_at=2)
    with (tmp_path / "metrics.json").open("a") as file:
        file.write('{"iteration": 2, "lr": 0.1}\n{"iterat')
    run(cfg)
    assert [row["iteration"] for row in metrics(tmp_path)] == [1, 2]


def test_weights_that_are_not_finite_end_a_run_that_does_not_see_its_losses(tmp_path):
    cfg = config(tmp_path)
    trainer = Trainer(cfg)
    trainer._trainer.gather_metric_period = 20  # as on a GPU

    class Break(HookBase):
        def after_step(self):
            if self.trainer.iter == 1:
                self.trainer.model.shot.head.box_deltas.bias.data[0] = float("nan")

    trainer._hooks.insert(0, Break())
    trainer._hooks[0].trainer = trainer
    with pytest.raises(FloatingPointError, match="0000001.pth is not written, as .*bias"):
        trainer.train()
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000000.pth"
    assert not (tmp_path / "model_0000001.pth").exists()


def test_a_disk_that_fills_up_ends_a_run_in_one_sentence(tmp_path, monkeypatch, caplog):
    cfg = config(tmp_path)
    original = os.replace

    def replace(source, target):
        if Path(target).name == "model_0000001.pth":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(SystemExit) as caught, one_sentence_endings("train_net.py"):
        run(cfg)
    sentence = caught.value.code.removeprefix("train_net.py: ")
    assert "model_0000001.pth" in sentence and "No space left" in sentence
    assert "\n" not in sentence and "--resume" in sentence
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == [f"Exception during training: {sentence}"]
    assert errors[0].exc_info is None
    monkeypatch.undo()
    _, steps = run(cfg)
    assert steps.keys() == {1, 2, 3}


# Another config


def test_a_new_schedule_is_followed_from_here_on(tmp_path, caplog):
    run(config(tmp_path), stop_at=2)
    changed = config(
        tmp_path,
        SOLVER__BASE_LR=0.01,
        SOLVER__STEPS=(3,),
        SOLVER__MAX_ITER=5,
        SOLVER__MOMENTUM=0.5,
        SOLVER__WEIGHT_DECAY=0.01,
        SOLVER__BIAS_LR_FACTOR=2.0,
        MODEL__BOTTOM_UP__WEIGHTS="ignored.pth",
    )
    saved = load(tmp_path / "model_0000001.pth")["trainer"]["_trainer"]["optimizer"]
    with caplog.at_level(logging.INFO, "df2s2_d2"):
        trainer = Trainer(changed)
        trainer.resume_or_load(resume=True)
    # Rates of their own put biases into groups of their own: momenta follow them by name.
    assert len(trainer.optimizer.param_groups) > len(saved["param_groups"])
    names = {name: parameter for name, parameter in trainer.model.named_parameters()}
    for group in saved["param_groups"]:
        for index, name in zip(group["params"], group["param_names"], strict=True):
            momentum = trainer.optimizer.state[names[name]]["momentum_buffer"]
            assert torch.equal(momentum, saved["state"][index]["momentum_buffer"])
    for group in trainer.optimizer.param_groups:
        assert group["momentum"] == 0.5 and group["weight_decay"] in (0.01, 0.0)
    watch = Watch(None)
    trainer.register_hooks([watch])
    trainer.train()
    rates = {step: sorted(set(rates)) for step, (_, _, rates, _) in watch.steps.items()}
    low = pytest.approx([0.001, 0.002])
    assert rates == {2: pytest.approx([0.01, 0.02]), 3: low, 4: low}
    assert "SOLVER.BASE_LR 0.001 -> 0.01" in caplog.text
    assert "MODEL.BOTTOM_UP.WEIGHTS have no effect" in caplog.text


def test_another_batch_size_goes_on_behind_the_images_that_were_seen(tmp_path):
    run(config(tmp_path), stop_at=2)
    trainer, steps = run(config(tmp_path, SOLVER__IMS_PER_BATCH=4, SOLVER__MAX_ITER=3))
    assert steps.keys() == {2}
    assert trainer._trainer.data_loader.batch_sampler.first_batch == 1
    final = load(tmp_path / "model_final.pth")
    assert final["trainer"]["hooks"]["ReproducibleSteps"]["images"] == 8


@pytest.mark.parametrize(
    ("saved_by", "reference", "expected"), [(4, 4, 6), (4, 2, 12), (2, 4, 3), (4, 0, 6), (0, 4, 6)]
)
def test_steps_are_as_long_as_the_number_of_processes_makes_them(saved_by, reference, expected):
    cfg = smallest_config(SOLVER__REFERENCE_WORLD_SIZE=reference)
    assert steps_done({"iteration": 5, "reference_world_size": saved_by}, cfg) == expected


def test_a_finished_run_can_be_started_again(tmp_path, caplog):
    cfg = config(tmp_path, SOLVER__MAX_ITER=1)
    run(cfg)
    check_start(cfg, build_untrained(cfg), resume=True)
    with caplog.at_level(logging.INFO, "df2s2_d2"):
        _, steps = run(cfg)
    assert steps == {} and "all of them of 1 iterations are done" in caplog.text


def test_a_run_that_is_beyond_its_end_is_refused(tmp_path):
    run(config(tmp_path), stop_at=3)
    short = config(tmp_path, SOLVER__MAX_ITER=2)
    words = f"run in {tmp_path} has done 3 iterations, but SOLVER.MAX_ITER is 2: there is nothing"
    with pytest.raises(ValueError, match=words):
        check_start(short, build_untrained(short), resume=True)
    with pytest.raises(ValueError, match=words):
        Trainer(short).resume_or_load(resume=True)


def test_a_run_goes_on_with_its_own_optimizer_alone(tmp_path):
    overrides = {"SOLVER__OPTIMIZER": "AdamW", "SOLVER__MAX_ITER": 3}
    _, undisturbed = run(config(tmp_path / "a", **overrides))
    run(config(tmp_path / "b", **overrides), stop_at=2)
    other = config(tmp_path / "b")
    words = "was trained by AdamW, but SOLVER.OPTIMIZER is SGD: resume it with SOLVER.OPTIMIZER A"
    with pytest.raises(ValueError, match=words):
        check_start(other, build_untrained(other), resume=True)
    with pytest.raises(ValueError, match=words):
        Trainer(other).resume_or_load(resume=True)
    _, resumed = run(config(tmp_path / "b", **overrides))
    assert resumed == {2: undisturbed[2]}


# What a run starts from, by train_net.py


def refusal(folder: Path, *arguments: str) -> str:
    """What train_net.py says before it gives up, without a process of its own."""
    fixed = ["--config-file", SMALLEST_CONFIG, "OUTPUT_DIR", str(folder)]
    fixed += ["DATASETS.TRAIN", "('resumed_train',)", "DATASETS.TEST", "()"]
    fixed += [str(part).replace("__", ".") for pair in NARROW.items() for part in pair]
    flags = [argument for argument in arguments if argument.startswith("--")]
    overrides = [argument for argument in arguments if not argument.startswith("--")]
    with pytest.raises(SystemExit) as caught:
        train_net.setup(default_argument_parser().parse_args([*flags, *fixed, *overrides]))
    assert re.fullmatch(r"train_net.py: [^\n]+", caught.value.code)
    return caught.value.code


def test_another_detector_is_refused_before_anything_is_written(tmp_path):
    run(config(tmp_path, SOLVER__MAX_ITER=1))
    (tmp_path / "config.yaml").write_text("as it was")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    message = refusal(tmp_path, "--resume", "MODEL.SHOT.HEAD.CONV_DIM", "64")
    assert "model_final.pth is a checkpoint of another detector" in message
    assert "other shapes have" in message and "OUTPUT_DIR" in message
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


class Code:
    def __reduce__(self):
        return print, ("code has run",)


def test_weights_that_would_run_code_are_one_sentence(tmp_path, capfd):
    output, path = tmp_path / "output", tmp_path / "x.pth"
    torch.save({"model": Code()}, path)
    assert f"{path} is no checkpoint" in refusal(output, "MODEL.WEIGHTS", str(path))
    path = tmp_path / "x.pkl"
    path.touch()
    for query in ("", "?y=1", "?matching_heuristics=True"):
        assert "pickles are not loaded" in refusal(output, "MODEL.WEIGHTS", f"{path}{query}")
    zoo = "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
    assert "torch.save" in refusal(output, "MODEL.WEIGHTS", zoo)
    torch.save({"other": torch.ones(1)}, tmp_path / "y.pth")
    assert "Not one tensor" in refusal(output, "MODEL.WEIGHTS", str(tmp_path / "y.pth"))
    assert not output.exists() and "code has run" not in capfd.readouterr().out
