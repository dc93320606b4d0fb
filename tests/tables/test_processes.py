"""A training gets the signals of the command that waits for it, and does not outlive it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from df2s2_d2.tables import processes
from df2s2_d2.tables.processes import Process, environment

ROOT = Path(__file__).resolve().parents[2]
# Stands for the Python that trains: notes its arguments, and how it ends.
TRAINING = """#!/bin/sh
cd "$NOTES" || exit 9
printf '%s\\n' "$@" > arguments
trap 'echo TERM > ended; exit 143' TERM
trap 'echo USR1 > ended; exit 138' USR1
echo ready > ready
[ -n "$CODE" ] && exit "$CODE"
while :; do sleep 0.05; done
"""


@pytest.fixture
def training(tmp_path, monkeypatch):
    script = tmp_path / "python"
    script.write_text(TRAINING)
    script.chmod(0o755)
    monkeypatch.setenv("NOTES", str(tmp_path))
    return script


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not path.is_file() or not path.read_text():
        assert time.monotonic() < deadline, f"{path.name} does not come"
        time.sleep(0.02)
    return path.read_text().strip()


@pytest.mark.parametrize(("code", "expected"), [("3", 3), ("0", 0)])
def test_arguments_and_exit_code(training, tmp_path, monkeypatch, code, expected):
    monkeypatch.setattr(processes.sys, "executable", str(training))
    monkeypatch.setenv("CODE", code)
    process = Process(["train", "KEY", "a b"], Path("/data"), tmp_path)
    assert process.wait() == expected
    assert wait_for(tmp_path / "arguments").splitlines() == [
        "-m",
        "df2s2_d2",
        "train",
        "KEY",
        "a b",
    ]
    assert not (tmp_path / "process.txt").exists()


def waiting_command(training: Path, tmp_path: Path) -> subprocess.Popen:
    """A process that starts a training, waits for it and ends with its code; it waits already."""
    code = f"""
import subprocess, sys
from pathlib import Path
from df2s2_d2.tables import processes

class Training(subprocess.Popen):
    def poll(self):
        Path({str(tmp_path / "waiting")!r}).write_text("for it, and passes signals on")
        return super().poll()

processes.sys.executable = {str(training)!r}
processes.subprocess.Popen = Training
sys.exit(processes.Process(["train"], Path("data"), Path({str(tmp_path)!r})).wait())
"""
    command = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    wait_for(tmp_path / "ready")
    wait_for(tmp_path / "waiting")
    return command


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("USR1", 138)])
def test_signals_reach_the_training(training, tmp_path, name, code):
    command = waiting_command(training, tmp_path)
    command.send_signal(getattr(signal, f"SIG{name}"))
    assert command.wait(60) == code
    assert wait_for(tmp_path / "ended") == name


def test_a_signal_that_comes_too_late_is_remembered(tmp_path, monkeypatch):
    script = tmp_path / "python"
    # It is done, and ends as if nothing had come.
    script.write_text("#!/bin/sh\ntrap 'exit 0' USR1\necho ready > ready\nsleep 60 & wait\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes.sys, "executable", str(script))
    process = Process(["train"], Path("data"), tmp_path)
    wait_for(tmp_path / "ready")

    def wait_for_the_signal(_seconds: float) -> None:
        if process.stopped_by is None:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(processes.time, "sleep", wait_for_the_signal)
    assert (process.wait(), process.stopped_by) == (0, signal.SIGUSR1)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends children with their parent")
def test_a_training_ends_with_a_command_that_is_killed(training, tmp_path):
    command = waiting_command(training, tmp_path)
    command.kill()
    command.wait(60)
    assert wait_for(tmp_path / "ended") == "TERM"


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are not told apart")
def test_the_next_training_waits_for_one_that_is_still_ending(training, tmp_path, monkeypatch):
    code = "import time; print(flush=True); time.sleep(1)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    ending = subprocess.Popen(command, stdout=subprocess.PIPE)
    ending.stdout.readline()  # A process that is only just started has no arguments yet.
    (tmp_path / "process.txt").write_text(f"{processes.socket.gethostname()} {ending.pid}\n")
    monkeypatch.setattr(processes.sys, "executable", str(training))
    monkeypatch.setenv("CODE", "0")
    # Else it stays as a process that has ended and that nobody has asked for its code.
    signal.signal(signal.SIGCHLD, lambda *_: ending.poll())
    try:
        process = Process(["train"], Path("data"), tmp_path)
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    assert ending.poll() is not None
    assert process.wait() == 0


def test_a_training_is_a_run_of_its_own_wherever_it_is_started():
    around = {"PATH": "/bin", "RANK": "3", "WORLD_SIZE": "8", "SLURM_PROCID": "3"}
    around |= {"SLURM_STEP_NUM_TASKS": "8", "SLURM_JOB_ID": "9", "DETECTRON2_DATASETS": "/old"}
    # SLURM's PMI-2 and mpirun
    around |= {"PMI_SIZE": "8", "OMPI_COMM_WORLD_SIZE": "8"}
    expected = {"PATH": "/bin", "SLURM_JOB_ID": "9", "DETECTRON2_DATASETS": "/new"}
    assert environment(around, Path("/new")) == expected
    assert json.dumps(dict(os.environ))  # and nothing of this process is changed
