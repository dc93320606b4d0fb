"""Runs that go on: with the same steps as undisturbed ones, and by the config they are given."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from df2s2_d2.training import Trainer
from df2s2_d2.training.model_checks import build_untrained
from df2s2_d2.training.resume import (
    adapt_optimizer_state,
    check_optimizer,
    check_start,
    name_parameters,
    steps_done,
)
from tests.small_runs import smallest_config
from tests.training.short_runs import load, reports
from tests.training.watched_runs import Watch, watched_config, watched_run

pytestmark = pytest.mark.usefixtures("drawn_data")


ROOT = Path(__file__).resolve().parents[2]


def test_a_run_that_was_killed_before_its_final_checkpoint_gets_it(tmp_path):
    cfg = watched_config(tmp_path, SOLVER__MAX_ITER=2)
    # Leaves a final checkpoint of a shorter run.
    watched_run(watched_config(tmp_path, SOLVER__MAX_ITER=1))
    short = load(tmp_path / "model_final.pth")
    watched_run(cfg)
    expected = load(tmp_path / "model_final.pth")
    torch.save(short, tmp_path / "model_final.pth")
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    _, steps = watched_run(cfg)
    found = load(tmp_path / "model_final.pth")
    assert steps == {} and found["iteration"] == 1
    assert all(
        torch.equal(found["model"][name], expected["model"][name]) for name in found["model"]
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_does_the_steps_of_an_undisturbed_one(tmp_path, workers):
    overrides = {"SOLVER__MAX_ITER": 5, "DATALOADER__NUM_WORKERS": workers}
    overrides |= {"SOLVER__STEPS": (2, 3), "SOLVER__WARMUP_ITERS": 2}
    _, undisturbed = watched_run(watched_config(tmp_path / "a", **overrides))
    assert len({str(images) for images, *_ in undisturbed.values()}) == 5
    found = {}
    for stop_at in (1, 3, None):
        _, steps = watched_run(watched_config(tmp_path / "b", **overrides), stop_at)
        assert not steps.keys() & found.keys()
        found |= steps
    assert found == undisturbed
    a, b = (load(tmp_path / name / "model_final.pth")["model"] for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_an_unseeded_run_goes_on_with_the_seed_that_it_drew(tmp_path):
    overrides = {"SEED": -1, "SOLVER__MAX_ITER": 4}
    overrides["DATALOADER__SAMPLER_TRAIN"] = "RandomSubsetTrainingSampler"
    overrides["DATALOADER__RANDOM_SUBSET_RATIO"] = 0.5
    first, steps = watched_run(watched_config(tmp_path, **overrides))
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    second, again = watched_run(watched_config(tmp_path, **overrides))
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


def test_an_iteration_stands_in_metrics_once(tmp_path):
    cfg = watched_config(tmp_path, SOLVER__MAX_ITER=3)
    watched_run(cfg, stop_at=2)
    with (tmp_path / "metrics.json").open("a") as file:
        file.write('{"iteration": 2, "lr": 0.1}\n{"iterat')
    watched_run(cfg)
    assert [row["iteration"] for row in reports(tmp_path)] == [1, 2]


def test_a_new_schedule_is_followed_from_here_on(tmp_path, caplog):
    watched_run(watched_config(tmp_path), stop_at=2)
    changed = watched_config(
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
    watch = Watch()
    trainer.register_hooks([watch])
    trainer.train()
    rates = {step: sorted(set(rates)) for step, (_, _, rates, _) in watch.steps.items()}
    low = pytest.approx([0.001, 0.002])
    assert rates == {2: pytest.approx([0.01, 0.02]), 3: low, 4: low}
    assert "SOLVER.BASE_LR 0.001 -> 0.01" in caplog.text
    assert "MODEL.BOTTOM_UP.WEIGHTS have no effect" in caplog.text


def test_another_batch_size_goes_on_behind_the_images_that_were_seen(tmp_path):
    watched_run(watched_config(tmp_path), stop_at=2)
    cfg = watched_config(tmp_path, SOLVER__IMS_PER_BATCH=4, SOLVER__MAX_ITER=3)
    trainer, steps = watched_run(cfg)
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


def test_a_checkpoint_that_names_no_number_of_processes_has_steps_of_this_run():
    cfg = smallest_config(SOLVER__REFERENCE_WORLD_SIZE=4)
    assert steps_done({"iteration": 5}, cfg) == 6


def test_a_finished_run_can_be_started_again(tmp_path, caplog):
    cfg = watched_config(tmp_path, SOLVER__MAX_ITER=1)
    watched_run(cfg)
    check_start(cfg, build_untrained(cfg), resume=True)
    with caplog.at_level(logging.INFO, "df2s2_d2"):
        _, steps = watched_run(cfg)
    assert steps == {} and "all of them of 1 iterations are done" in caplog.text


def test_a_run_that_is_beyond_its_end_is_refused(tmp_path):
    watched_run(watched_config(tmp_path), stop_at=3)
    short = watched_config(tmp_path, SOLVER__MAX_ITER=2)
    words = f"run in {tmp_path} has done 3 iterations, but SOLVER.MAX_ITER is 2: there is nothing"
    with pytest.raises(ValueError, match=words):
        check_start(short, build_untrained(short), resume=True)
    with pytest.raises(ValueError, match=words):
        Trainer(short).resume_or_load(resume=True)


def test_a_run_goes_on_with_its_own_optimizer_alone(tmp_path):
    overrides = {"SOLVER__OPTIMIZER": "AdamW", "SOLVER__MAX_ITER": 3}
    _, undisturbed = watched_run(watched_config(tmp_path / "a", **overrides))
    watched_run(watched_config(tmp_path / "b", **overrides), stop_at=2)
    other = watched_config(tmp_path / "b")
    words = "was trained by AdamW, but SOLVER.OPTIMIZER is SGD: resume it with SOLVER.OPTIMIZER A"
    with pytest.raises(ValueError, match=words):
        check_start(other, build_untrained(other), resume=True)
    with pytest.raises(ValueError, match=words):
        Trainer(other).resume_or_load(resume=True)
    _, resumed = watched_run(watched_config(tmp_path / "b", **overrides))
    assert resumed == {2: undisturbed[2]}


def test_a_checkpoint_that_names_no_parameters_has_them_in_order():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    name_parameters(optimizer, model)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    saved = optimizer.state_dict()
    for group in saved["param_groups"]:
        del group["param_names"]
    found = adapt_optimizer_state(optimizer, saved)
    assert found["state"].keys() == {0, 1}
    for index, parameter in enumerate(model.parameters()):
        assert torch.equal(found["state"][index]["momentum_buffer"], parameter.grad)


@pytest.mark.parametrize(
    ("optimizer", "name", "other"),
    [(torch.optim.SGD, "SGD", "AdamW"), (torch.optim.AdamW, "AdamW", "SGD")],
)
def test_a_run_keeps_its_optimizer_however_few_groups_it_has(optimizer, name, other):
    cfg = smallest_config()
    state = {"_trainer": {"optimizer": optimizer(nn.Linear(2, 2).parameters(), 0.1).state_dict()}}
    check_optimizer(cfg, state, name)
    with pytest.raises(ValueError, match=f"was trained by {name}, but SOLVER.OPTIMIZER is {other}"):
        check_optimizer(cfg, state, other)
