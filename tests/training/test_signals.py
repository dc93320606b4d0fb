from __future__ import annotations

import errno
import math
import multiprocessing
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from detectron2.engine import hooks
from detectron2.utils.env import seed_all_rng
from torch import distributed

from df2s2_d2.training import Trainer, signals
from df2s2_d2.training.signals import STOP_SIGNALS, StopOnSignal, StopTraining, stoppable
from tests.small_runs import registered, smallest_config, wider_face_files


@pytest.fixture(scope="module", autouse=True)
def data_sets(sample_dataset):
    files = {
        f"stopped_{split}": wider_face_files(sample_dataset, split) for split in ("train", "val")
    }
    with registered(**files):
        yield


@pytest.fixture(autouse=True)
def handlers_are_restored():
    before = [signal.getsignal(signum) for signum in STOP_SIGNALS]
    yield
    assert [signal.getsignal(signum) for signum in STOP_SIGNALS] == before


@pytest.fixture
def trainer(tmp_path):
    """Function that makes a trainer of four steps, and reads its last checkpoint if asked to."""

    def make(resume=False, **overrides) -> Trainer:
        cfg = smallest_config(
            **{
                "DATASETS__TRAIN": ("stopped_train",),
                "DATASETS__TEST": ("stopped_val",),
                "TEST__EVAL_PERIOD": 0,
                "OUTPUT_DIR": str(tmp_path),
                **overrides,
            }
        )
        seed_all_rng(cfg.SEED)
        runner = Trainer(cfg)
        runner.resume_or_load(resume=resume)
        return runner

    return make


def send_in_step(trainer: Trainer, iteration: int, *signums: int) -> None:
    """Signals that arrive in the middle of a step."""

    def send(module, inputs, output):
        if module.training and trainer.iter == iteration:
            for signum in signums:
                signal.raise_signal(signum)

    trainer.model.register_forward_hook(send)


def send_in_test(trainer: Trainer, signum: int) -> list[int]:
    """A signal with the first image of each test; gives the iterations of all images tested."""
    tested: list[int] = []

    def send(module, inputs, output):
        if not module.training:
            if trainer.iter not in tested:
                signal.raise_signal(signum)
            tested.append(trainer.iter)

    trainer.model.register_forward_hook(send)
    return tested


def fake_trainer(save, check=lambda: None) -> SimpleNamespace:
    """What StopOnSignal looks at, in the first of ten steps."""
    return SimpleNamespace(
        iter=0,
        max_iter=10,
        checkpointer=SimpleNamespace(save=lambda name, iteration: save(name)),
        finite_check=SimpleNamespace(check=check),
    )


def stopped(trainer: Trainer) -> StopTraining:
    with pytest.raises(StopTraining) as caught:
        trainer.train()
    return caught.value


def iteration_of(path: Path) -> int:
    return torch.load(path, map_location="cpu", weights_only=True)["iteration"]


# A training


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 138), (signal.SIGTERM, 143)]
)
def test_exit_codes(signum, code):
    saved = []
    stop = StopOnSignal()
    stop.trainer = fake_trainer(saved.append)
    with pytest.raises(StopTraining) as caught, stop:
        stop.after_step()
        signal.raise_signal(signum)
        assert not saved, "only noted"
        stop.after_step()
    assert caught.value.code == code
    assert saved == ["model_0000000"]


def test_a_step_at_fault_that_nothing_has_looked_at_yet_is_not_saved():
    def find_fault():
        raise FloatingPointError

    saved = []
    stop = StopOnSignal()
    stop.trainer = fake_trainer(saved.append, find_fault)
    with pytest.raises(FloatingPointError), stop:
        signal.raise_signal(signal.SIGTERM)
        stop.after_step()
    assert not saved


def test_signal_stops_after_its_step_and_a_resumed_run_goes_on_with_the_next(trainer, tmp_path):
    runner = trainer()
    send_in_step(runner, 1, signal.SIGTERM)
    stopped(runner)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000001.pth"
    assert iteration_of(tmp_path / "model_0000001.pth") == 1
    saved = torch.load(tmp_path / "model_0000001.pth", weights_only=True)["model"]
    # The step was finished: its gradients are in the weights that were saved.
    assert all(torch.equal(saved[k], v) for k, v in runner.model.state_dict().items())
    assert not (tmp_path / "model_final.pth").exists()
    assert not (tmp_path / "inference").exists()

    runner = trainer(resume=True)
    assert runner.start_iter == 2
    runner.train()
    assert iteration_of(tmp_path / "model_final.pth") == 3


def test_signals_count_once(trainer, monkeypatch):
    """A terminal and a launcher in it send the same key press; others may come behind the first."""
    monkeypatch.setattr(signals, "_SAME_KEY_PRESS", math.inf)
    runner = trainer()
    send_in_step(runner, 0, signal.SIGINT, signal.SIGINT, signal.SIGTERM)
    assert stopped(runner).code == 130
    assert runner.iter == 0


def test_signal_stops_where_nobody_reads_what_is_said(trainer, tmp_path, monkeypatch):
    """As ``| tee log`` does, which Ctrl-C ends first."""
    write = os.write

    def write_to_nobody(descriptor: int, data: bytes) -> int:
        if descriptor == 2:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", write_to_nobody)
    runner = trainer()
    send_in_step(runner, 1, signal.SIGINT)
    assert stopped(runner).code == 130
    assert iteration_of(tmp_path / "model_0000001.pth") == 1


def test_run_that_is_complete_is_no_stopped_one(trainer, tmp_path):
    runner = trainer(DATASETS__TEST=())
    send_in_step(runner, 3, signal.SIGTERM)
    runner.train()
    assert iteration_of(tmp_path / "model_final.pth") == 3


def test_other_exceptions_save_nothing(trainer, tmp_path):
    runner = trainer()

    def fail(_trainer):
        raise FloatingPointError("NaN")

    runner.register_hooks([hooks.CallbackHook(after_step=fail)])
    with pytest.raises(FloatingPointError):
        runner.train()
    assert not list(tmp_path.glob("*.pth"))


# Its tests


def test_signal_stops_a_test_after_its_image(trainer, tmp_path):
    runner = trainer(TEST__EVAL_PERIOD=2)
    tested = send_in_test(runner, signal.SIGUSR1)
    assert stopped(runner).code == 138
    assert tested == [1], "one image of three"
    assert not list(tmp_path.glob("inference/**/results.json"))
    assert iteration_of(tmp_path / "model_0000001.pth") == 1
    assert trainer(resume=True).start_iter == 2


def test_signal_stops_the_last_test_and_a_resumed_run_repeats_it(trainer, tmp_path):
    runner = trainer()
    tested = send_in_test(runner, signal.SIGTERM)
    assert stopped(runner).code == 143
    assert tested == [4], "one image of three"
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"
    assert not list(tmp_path.glob("inference/**/results.json"))
    trainer(resume=True).train()
    assert len(list(tmp_path.glob("inference/**/results.json"))) == 1


def test_signal_in_the_last_step_leaves_the_last_test_undone(trainer, tmp_path):
    runner = trainer()
    send_in_step(runner, 3, signal.SIGTERM)
    assert stopped(runner).code == 143
    assert iteration_of(tmp_path / "model_final.pth") == 3
    assert not list(tmp_path.glob("inference/**/results.json"))


def test_without_a_training_a_test_is_left_alone():
    batches = [1, 2]
    assert stoppable(batches) is batches


# Processes


def run_in_child(function, *args) -> int:
    """Exit code of a forked process; negative, the signal that has killed it."""
    process = multiprocessing.get_context("fork").Process(target=function, args=args)
    process.start()
    process.join(300)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def interrupt_twice() -> None:
    with StopOnSignal():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_second_interrupt_ends_at_once(monkeypatch):
    monkeypatch.setattr(signals, "_SAME_KEY_PRESS", math.inf)
    assert run_in_child(interrupt_twice) == 0
    monkeypatch.setattr(signals, "_SAME_KEY_PRESS", -1.0)
    assert run_in_child(interrupt_twice) == -signal.SIGINT


def test_processes_that_load_images_outlive_signals_of_others(trainer):
    """Launchers send them to all processes of a job, and the step needs the next images."""
    runner = trainer(DATALOADER__NUM_WORKERS=1, DATASETS__TEST=(), SOLVER__MAX_ITER=8)
    loaders = []

    def send(_trainer):
        if not loaders:
            loaders.extend(multiprocessing.active_children())
            pids = [str(process.pid) for process in loaders]
            for signum in STOP_SIGNALS:
                subprocess.run(["kill", f"-{int(signum)}", *pids], check=True)

    runner.register_hooks([hooks.CallbackHook(after_step=send)])
    runner.train()
    assert len(loaders) == 1
    assert runner.iter == 8
    # Else the training would wait for it at its end.
    loaders[0].terminate()
    loaders[0].join(300)
    assert loaders[0].exitcode == 0


@pytest.mark.parametrize(("place", "step_of"), [("step", {0: 3, 1: 3}), ("test", {0: 2, 1: 2})])
def test_signal_of_one_process_stops_all_after_the_same_step(tmp_path, place, step_of):
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=train_alone, args=(rank, place, tmp_path)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [138, 138]
    found = {rank: int((tmp_path / f"rank_{rank}").read_text()) for rank in range(2)}
    assert found == step_of


def train_alone(rank: int, place: str, folder: Path) -> None:
    """A process of two; rank 1 gets a signal in its third step or in the test behind it."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    stop = StopOnSignal()
    # Each writes into a file of its own what the first would save.
    stop.trainer = fake_trainer(lambda name: (folder / f"rank_{rank}").write_text(name[-7:]))
    with stop:
        for stop.trainer.iter in range(10):
            signalled = rank == 1 and stop.trainer.iter == 2
            if signalled and place == "step":
                signal.raise_signal(signal.SIGUSR1)
            stop.after_step()
            if stop.trainer.iter == 2 and place == "test":
                for _ in stoppable(range(3)):
                    if signalled:
                        signal.raise_signal(signal.SIGUSR1)
                raise AssertionError("would go on to the figures of a test that is not complete")
