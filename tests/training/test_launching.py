from __future__ import annotations

import argparse
import os
import socket
from types import SimpleNamespace

import pytest
import torch

from df2s2_d2.cli import train
from df2s2_d2.cli.program import build_parser
from df2s2_d2.training import launching
from df2s2_d2.training.launching import choose_gpu, launch, one_sentence_errors
from df2s2_d2.training.process_place import ProcessPlace
from tests.launcher_environments import SRUN, TORCHRUN, is_set_by_launchers


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    """Whatever has started the tests."""
    for name in filter(is_set_by_launchers, list(os.environ)):
        monkeypatch.delenv(name)


@pytest.fixture
def seconds(monkeypatch) -> list[float]:
    """How long a process has waited for others before its end; no time passes."""
    waited: list[float] = []
    monkeypatch.setattr(launching.time, "sleep", waited.append)
    return waited


def parse(*arguments: str) -> argparse.Namespace:
    return build_parser(train, "train_net.py").parse_args(arguments)


def refusal(*arguments: str, device: str = "cpu") -> str:
    """What launch says before it gives up."""
    args = parse(*arguments)
    with pytest.raises(SystemExit) as caught:
        launch(unexpected_start, args, lambda _args: device)
    assert isinstance(caught.value.code, str), "a message, which makes the exit code 1"
    assert caught.value.code.startswith("train_net.py: ")
    assert "\n" not in caught.value.code
    return caught.value.code


def unexpected_start(args) -> None:
    raise AssertionError("started")


def set_environment(monkeypatch, environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def test_one_process_runs_here():
    started = []
    for number in ("0", "1"):  # detectron2's way to say "no GPU", and its default
        args = parse("--num-gpus", number)
        launch(started.append, args, lambda _args: "cpu")
        assert started.pop() is args


def test_only_process_of_torchrun_runs_here(monkeypatch):
    one = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    set_environment(monkeypatch, {**TORCHRUN, **one, "GROUP_RANK": "0"})
    started = []
    launch(started.append, parse(), lambda _args: "cpu")
    assert len(started) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--num-gpus", "-1"], "--num-gpus"),
        (["--num-machines", "0"], "--num-machines"),
        (["--machine-rank", "1"], "--machine-rank is 1"),
        (["--num-machines", "2", "--machine-rank", "2", "--dist-url", "tcp://a:1"], "0 to 1"),
        (["--num-machines", "2"], "--dist-url"),
        (["--timeout", "0"], "--timeout"),
    ],
)
def test_options_that_cannot_be_meant(arguments, part):
    assert part in refusal(*arguments)


@pytest.mark.parametrize("environ", [TORCHRUN, SRUN])
def test_options_that_contradict_the_launcher(monkeypatch, seconds, environ):
    set_environment(monkeypatch, environ)
    assert "--num-gpus" in refusal("--num-gpus", "3")
    assert "--num-machines" in refusal("--num-machines", "3")


def test_contradictory_environment_is_one_sentence(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    assert "WORLD_SIZE" in refusal()


def test_bad_config_is_one_sentence():
    def device_of(_args):
        raise ValueError("Config a.yaml: no such key")

    with pytest.raises(SystemExit) as caught:
        launch(unexpected_start, parse(), device_of)
    assert caught.value.code == "train_net.py: Config a.yaml: no such key"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_other_processes_let_the_first_one_speak(monkeypatch, seconds, rank):
    """Its launcher ends them when it has; a problem that only they have is told by them."""
    set_environment(monkeypatch, {"RANK": rank})
    assert "WORLD_SIZE" in refusal()
    assert len(seconds) == int(rank)


def test_port_is_taken_before_any_process_starts(monkeypatch):
    """Free ports that are only looked up may be lent to somebody else in between."""
    urls = []

    def start_processes(_function, arguments, **_options):
        host, port = arguments[1].rpartition("/")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=10):
            urls.append(arguments[1])
        return SimpleNamespace(pids=list, join=lambda **_options: True)

    monkeypatch.setattr(launching.mp, "start_processes", start_processes)
    for _ in range(2):
        launch(unexpected_start, parse("--num-gpus", "2"), lambda _args: "cpu")
    assert len(set(urls)) == 2


# Devices


def test_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no GPU" in refusal(device="cuda")


def test_one_gpu_named_for_several_processes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert "'cuda:0'" in refusal("--num-gpus", "2", device="cuda:0")


def test_more_processes_than_gpus_are_refused_before_any_starts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert "2 GPUs" in refusal("--num-gpus", "3", device="cuda")


def test_choice_of_a_gpu():
    second = ProcessPlace(rank=5, world_size=8, local_rank=1, local_world_size=4, init_method="")
    assert choose_gpu(second, num_visible=4) == 1
    assert choose_gpu(second, num_visible=8) == 1
    assert choose_gpu(second, num_visible=1) == 0  # srun --gpus-per-task: each sees its own
    with pytest.raises(ValueError, match="4 processes on this machine, but 3 GPUs"):
        choose_gpu(second, num_visible=3)


@pytest.mark.parametrize(("others", "shared"), [(["b"], False), (["a"], True)])
def test_gpu_of_two_processes(monkeypatch, others, shared):
    own = SimpleNamespace(uuid="a")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda gpu: own)
    monkeypatch.setattr(
        launching.comm, "all_gather", lambda mine: [mine, *((mine[0], other) for other in others)]
    )
    if shared:
        with pytest.raises(ValueError, match="the same GPU, a"):
            launching.check_gpu_of_its_own(0)
    else:
        launching.check_gpu_of_its_own(0)


# Errors


def test_only_bad_input_is_one_sentence():
    with pytest.raises(KeyError), one_sentence_errors("train_net.py"):
        raise KeyError("a bug, which needs its traceback")
    with one_sentence_errors("train_net.py"):
        pass


@pytest.mark.parametrize(
    ("problems", "own", "printed"),
    [
        (["train_net.py: a.jpg is missing"] * 2, 0, True),
        (["train_net.py: a.jpg is missing"] * 2, 1, False),
        # The disk of one machine lacks the file: all end, and the first process says why.
        ([None, "train_net.py: a.jpg is missing"], 0, True),
    ],
)
def test_sentence_of_several_processes_is_printed_once(monkeypatch, capsys, problems, own, printed):
    sent = []

    def all_gather(value):
        sent.append(value)
        return problems

    monkeypatch.setattr(launching.comm, "get_world_size", lambda: 2)
    monkeypatch.setattr(launching.comm, "get_rank", lambda: own)
    monkeypatch.setattr(launching.comm, "all_gather", all_gather)
    monkeypatch.setattr(launching.distributed, "destroy_process_group", lambda: None)
    with pytest.raises(SystemExit) as caught, one_sentence_errors("train_net.py"):
        if problems[own]:
            raise FileNotFoundError("a.jpg is missing")
    assert caught.value.code == 1
    assert sent[0] == problems[own]
    assert capsys.readouterr().err == ("train_net.py: a.jpg is missing\n" if printed else "")
