"""Of all processes that want a run, one gets it; and what a dead one had goes to another."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from df2s2_d2.tables import claims
from df2s2_d2.tables.claims import STALE_SECONDS, Claim, claim, holder


def write_claim(folder: Path, number: int, age: float = 0.0, **own) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / str(number)
    path.write_text(json.dumps(own))
    os.utime(path, (time.time() - age,) * 2)
    return path


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_run_is_of_one_process_until_it_is_given_back(tmp_path):
    folder = tmp_path / "run"
    with claim(folder):
        assert claim(folder) is None
        assert holder(folder).startswith(f"process {os.getpid()} on ")
    assert holder(folder) == "" and list(folder.iterdir()) == []
    assert claim(folder) is not None


def _try(folder: Path, barrier, results) -> None:
    barrier.wait()
    results.put(claim(folder) is not None)
    barrier.wait()  # so that none is gone while another one tries


@pytest.mark.parametrize("is_stale", [False, True])
def test_only_one_of_many_gets_it(tmp_path, is_stale):
    if is_stale:
        write_claim(tmp_path, 3, age=STALE_SECONDS + 60, host="elsewhere", pid=1)
    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(8), fork.Queue()
    processes = [fork.Process(target=_try, args=(tmp_path, barrier, results)) for _ in range(8)]
    for process in processes:
        process.start()
    taken = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sum(taken) == 1


def look_before(monkeypatch, name: str, seen) -> None:
    """Let a function of claims return once what there was to be seen a moment ago."""
    look, before = getattr(claims, name), [seen]
    monkeypatch.setattr(claims, name, lambda path: before.pop() if before else look(path))


def test_one_that_is_given_back_while_another_looks_is_not_taken_over(tmp_path, monkeypatch):
    look_before(monkeypatch, "_numbers", [1])
    assert claim(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_who_finds_a_lower_claim_gives_way(tmp_path, monkeypatch):
    # Another one was stale, was taken over, done and given back, and this one has come since.
    other = write_claim(tmp_path, 1, host="elsewhere", pid=1)
    look_before(monkeypatch, "_is_stale", True)
    assert claim(tmp_path) is None
    assert list(tmp_path.iterdir()) == [other]


def test_who_finds_a_higher_claim_gives_way(tmp_path, monkeypatch):
    other = write_claim(tmp_path, 3, host="elsewhere", pid=1)
    look_before(monkeypatch, "_numbers", [])
    assert claim(tmp_path) is None
    assert list(tmp_path.iterdir()) == [other]


def test_a_claim_that_is_gone_when_its_maker_looks_again_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "_numbers", lambda folder: [])
    assert claim(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def _take_turns(folder: Path, barrier, overlaps) -> None:
    barrier.wait()
    for _ in range(300):
        own = claim(folder / "run")
        if own is None:
            continue
        with own:
            try:
                (folder / "busy").touch(exist_ok=False)
            except FileExistsError:
                overlaps.value += 1
            (folder / "busy").unlink(missing_ok=True)


def test_no_two_ever_have_it_however_often_it_changes_hands(tmp_path):
    fork = multiprocessing.get_context("fork")
    barrier, overlaps = fork.Barrier(4), fork.Value("i", 0)
    arguments = (tmp_path, barrier, overlaps)
    processes = [fork.Process(target=_take_turns, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert overlaps.value == 0
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("age", "own", "is_free"),
    [
        (0, {"host": "elsewhere", "pid": 1}, False),
        (STALE_SECONDS - 60, {"host": "elsewhere", "pid": 1}, False),
        (STALE_SECONDS + 60, {"host": "elsewhere", "pid": 1}, True),
        (0, {"host": "here", "pid": "dead"}, True),
        (0, {"host": "here", "pid": os.getpid()}, False),
        # Of another container, or of before the machine was started again: nobody here can tell.
        (0, {"host": "here", "pid": "dead", "pids": "others"}, False),
        (STALE_SECONDS + 60, {"host": "here", "pid": "dead", "pids": "others"}, True),
        # A job that SLURM has put back into the queue, as it was and as it is.
        (0, {"host": "elsewhere", "pid": 1, "job": "7", "restart": "0"}, True),
        (0, {"host": "elsewhere", "pid": 1, "job": "7", "restart": "1"}, False),
        (0, {"host": "elsewhere", "pid": 1, "job": "8", "restart": "0"}, False),
        (0, {}, False),  # not written yet
        (STALE_SECONDS + 60, {}, True),
    ],
)
def test_a_claim_is_worth_as_much_as_its_holder(tmp_path, monkeypatch, age, own, is_free):
    monkeypatch.setattr(claims.socket, "gethostname", lambda: "here")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    own = {key: dead_process() if value == "dead" else value for key, value in own.items()}
    if "host" in own:
        own.setdefault("pids", claims._numbering())
    write_claim(tmp_path, 1, age=age, **own)
    assert (claim(tmp_path) is not None) == is_free


def test_a_claim_that_holds_anything_else_is_of_somebody(tmp_path):
    path = write_claim(tmp_path, 1)
    path.write_text("[" * 100_000)
    assert claim(tmp_path) is None
    assert holder(tmp_path) == "process ? on ?"


def test_a_claim_is_kept_fresh_as_long_as_it_is_meant(tmp_path):
    path = write_claim(tmp_path, 1, age=1000)
    with Claim(path, on_loss=lambda: None, beat_seconds=0.01):
        deadline = time.monotonic() + 60
        while time.time() - path.stat().st_mtime > 100 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - path.stat().st_mtime < 100


def test_who_was_taken_for_dead_learns_of_it_and_removes_nothing(tmp_path):
    path, lost = write_claim(tmp_path, 1), threading.Event()
    with Claim(path, on_loss=lost.set, beat_seconds=0.01):
        newer = write_claim(tmp_path, 2, host="elsewhere", pid=1)
        assert lost.wait(60)
    assert newer.exists() and not path.exists()
