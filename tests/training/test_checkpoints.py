"""Checkpoints that survive kills, full disks, NaN and strangers."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from df2s2_d2.training.checkpoints import RunCheckpointer, newest_checkpoint
from df2s2_d2.training.durable_files import SavingError


class Counter:
    """A checkpointable, as the trainer is one."""

    def __init__(self) -> None:
        self.iteration = -1
        self.momentum = torch.zeros(2)

    def state_dict(self) -> dict:
        return {"iteration": self.iteration, "momentum": [self.momentum]}

    def load_state_dict(self, state: dict) -> None:
        self.iteration = state["iteration"]


@pytest.fixture
def run(tmp_path):
    """A checkpointer, and a function that saves it by the number of an iteration."""
    checkpointer = RunCheckpointer(nn.Linear(2, 2), str(tmp_path), trainer=Counter())

    def save(iteration: int, name: str = "") -> Path:
        checkpointer.checkpointables["trainer"].iteration = iteration
        with torch.no_grad():
            checkpointer.model.bias.fill_(iteration)
        name = name or f"model_{iteration:07d}"
        checkpointer.save(name, iteration=iteration)
        return tmp_path / f"{name}.pth"

    checkpointer.save_iteration = save
    return checkpointer


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) - {"last_checkpoint"}


# Saving


def test_a_checkpoint_brings_everything_back(run, tmp_path):
    run.save_iteration(7)
    other = RunCheckpointer(nn.Linear(2, 2), str(tmp_path), trainer=Counter())
    rest = other.load(other.get_checkpoint_file())
    assert other.checkpointables["trainer"].iteration == 7
    assert torch.equal(other.model.weight, run.model.weight) and rest == {"iteration": 7}


def test_only_the_main_process_writes(tmp_path):
    RunCheckpointer(nn.Linear(2, 2), str(tmp_path), save_to_disk=False).save("model_final")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["model_best", "model_0000009", "last_checkpoint"])
def test_a_disk_that_fills_up_leaves_the_last_checkpoint(run, tmp_path, monkeypatch, name):
    """Whatever file the disk fills up in, and also if that file is to be replaced."""
    run.save_iteration(5, "model_best")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    original = os.replace

    def replace(source, target):
        if Path(target).stem == name:
            raise OSError(28, "No space left on device")
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(SavingError, match=f"{name}.*No space left on device.*make room"):
        run.save_iteration(9, name if name != "last_checkpoint" else "model_0000009")
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert newest_checkpoint(str(tmp_path)) == str(tmp_path / "model_best.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["weight", "momentum"])
def test_what_is_not_finite_is_never_saved(run, tmp_path, value, where):
    run.save_iteration(1)
    before = names(tmp_path)
    if where == "weight":
        run.model.weight.data[1, 0] = value
    else:
        run.checkpointables["trainer"].momentum[1] = value
    with pytest.raises(FloatingPointError, match=rf"0000003.pth is not written, as .*{where}"):
        run.save_iteration(3)
    assert names(tmp_path) == before
    assert newest_checkpoint(str(tmp_path)) == str(tmp_path / "model_0000001.pth")


def test_what_a_killed_run_left_half_written_is_removed(run, tmp_path):
    run.save_iteration(1)
    (tmp_path / ".17-0a1b.partial").write_bytes(b"half")
    run.clean_up()
    assert names(tmp_path) == {"model_0000001.pth"}


def test_a_number_of_periodic_checkpoints_is_kept(run, tmp_path):
    run.save_iteration(1, "model_best")
    for iteration in (1, 3, 5, 7):
        run.save_iteration(iteration)
        run.keep_newest(2, iteration)
    assert names(tmp_path) == {"model_best.pth", "model_0000005.pth", "model_0000007.pth"}
    run.keep_newest(0, 7)
    assert len(names(tmp_path)) == 3
    # A run that was set back does not count what lies before it, nor deletes its last checkpoint.
    run.tag_last_checkpoint("model_0000005.pth")
    run.keep_newest(1, 6)
    run.keep_newest(1, 7)
    assert names(tmp_path) == {"model_best.pth", "model_0000005.pth", "model_0000007.pth"}
    run.save_iteration(9, "model_final")
    run.keep_newest(1, 9)
    assert names(tmp_path) == {"model_best.pth", "model_final.pth", "model_0000007.pth"}


# The newest checkpoint


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    """As if a block of a tensor had never reached the disk."""
    content = bytearray(path.read_bytes())
    at = content.index(torch.full((2,), 5.0).numpy().tobytes())
    content[at : at + 8] = bytes(8)
    path.write_bytes(content)


def weights_only(path: Path) -> None:
    torch.save({"model": nn.Linear(2, 2).state_dict()}, path)


@pytest.mark.parametrize("damage", [truncate, empty, garble, weights_only, Path.unlink])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(run, tmp_path, caplog, damage):
    before = run.save_iteration(3)
    run.save_iteration(1, "model_best")
    damaged = run.save_iteration(5)
    assert newest_checkpoint(str(tmp_path)) == str(damaged)
    assert caplog.text == ""
    damage(damaged)
    with caplog.at_level(logging.WARNING):
        assert newest_checkpoint(str(tmp_path)) == str(before)
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert str(damaged) in message and f"going back to {before}" in message


def test_best_and_final_models_are_fallen_back_to_by_their_iteration(run, tmp_path):
    run.save_iteration(3)
    best = run.save_iteration(4, "model_best")
    empty(run.save_iteration(6))
    assert newest_checkpoint(str(tmp_path)) == str(best)
    # What has a later number than the last checkpoint is of a run that was given up.
    run.save_iteration(9)
    run.tag_last_checkpoint("model_0000006.pth")
    assert newest_checkpoint(str(tmp_path)) == str(best)


@pytest.mark.parametrize(
    "tag", [None, "", "../elsewhere.pth", "code.pkl", "a\0b", "/x.pth", "\xff"]
)
def test_a_tag_that_names_no_checkpoint_falls_back_too(run, tmp_path, caplog, tag):
    path = run.save_iteration(3)
    (tmp_path / "last_checkpoint").unlink()
    if tag is not None:
        (tmp_path / "last_checkpoint").write_bytes(tag.encode("latin-1"))
    assert newest_checkpoint(str(tmp_path)) == str(path)
    assert "last_checkpoint names no checkpoint: going back to" in caplog.text


def test_without_checkpoints_there_is_none(tmp_path):
    assert newest_checkpoint(str(tmp_path)) == ""
    assert newest_checkpoint(str(tmp_path / "absent")) == ""
    torch.save({}, tmp_path / "model_pretrained.pth")  # not of a run
    assert newest_checkpoint(str(tmp_path)) == ""


def test_a_run_is_not_started_over_because_no_checkpoint_can_be_read(run, tmp_path):
    empty(run.save_iteration(3))
    empty(run.save_iteration(5))
    with pytest.raises(ValueError, match="Not one .* can be read .*0000005.*0000003.*start anew"):
        newest_checkpoint(str(tmp_path))


# Loading


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["x.pkl", "x.pyth", "x.pth", "model_0000001.pth"])
@pytest.mark.parametrize("dump", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
@pytest.mark.parametrize("query", ["", "?y=1", "?matching_heuristics=True"])
def test_no_file_runs_code(run, tmp_path, name, dump, query):
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Code(mark)))
    assert mark.exists(), "the trap is a real one"
    mark.unlink()
    dump({"model": Code(mark), "__author__": Code(mark)}, tmp_path / name)
    for arguments in [(), ([],)]:
        with pytest.raises((OSError, ValueError), match=name) as caught:
            run.load(str(tmp_path / name) + query, *arguments)
        assert "\n" not in str(caught.value)
    (tmp_path / "last_checkpoint").write_text(name + query)
    with contextlib.suppress(ValueError):  # raised where the name could be one of a checkpoint
        newest_checkpoint(str(tmp_path))
    assert not mark.exists()


def test_a_run_goes_on_with_its_own_detector_only(run, tmp_path):
    path = str(run.save_iteration(3))
    other = RunCheckpointer(nn.Linear(2, 3), str(tmp_path), trainer=Counter())
    before = other.model.weight.clone()
    with pytest.raises(ValueError, match="another detector .*other shapes have bias, weight"):
        other.load(path)
    assert torch.equal(other.model.weight, before)
    assert other.checkpointables["trainer"].iteration == -1


def test_a_run_may_start_from_a_part_of_its_weights_and_says_from_which(run, tmp_path, caplog):
    torch.save({"model": {"bias": torch.ones(2), "other": torch.ones(1)}}, tmp_path / "part.pth")
    with caplog.at_level(logging.INFO):
        run.load(str(tmp_path / "part.pth"), checkpointables=[])
    assert torch.equal(run.model.bias, torch.ones(2))
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert "Loaded 1 of the detector's 2 tensors" in message
    assert "it lacks weight; there is no place for other" in message
    torch.save({"model": {"other": torch.ones(1)}}, tmp_path / "part.pth")
    with pytest.raises(ValueError, match="Not one tensor of .*part.pth fits"):
        run.load(str(tmp_path / "part.pth"), checkpointables=[])
