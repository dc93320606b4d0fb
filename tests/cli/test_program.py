"""The program around its commands: help, versions, and how commands end."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

import df2s2_d2
from df2s2_d2.cli import program
from df2s2_d2.cli.commands import COMMANDS, load_command, summary
from df2s2_d2.cli.program import main, run_script

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "detectron2", "cv2", "numpy", "scipy", "matplotlib", "PIL", "onnxruntime")


@pytest.fixture
def command(monkeypatch):
    """``command(function)``: ``df2s2 try`` calls the function with its arguments."""

    def add(function) -> None:
        module = SimpleNamespace(
            __doc__="Try something.",
            add_arguments=lambda parser: parser.add_argument("words", nargs="*"),
            run=lambda args: function(*args.words),
        )
        monkeypatch.setattr(program, "COMMANDS", {**COMMANDS, "try": "try"})
        monkeypatch.setattr(program, "load_command", lambda name: module)

    return add


def fail(error: BaseException):
    def run(*_words):
        raise error

    return run


def test_help_of_every_command_loads_nothing_heavy():
    """In one process, as each import would stay."""
    code = (
        "import sys\n"
        "from df2s2_d2.cli.commands import COMMANDS\n"
        "from df2s2_d2.cli.program import main\n"
        "for words in [[], *(name.split() for name in COMMANDS)]:\n"
        "    try:\n"
        "        main([*words, '--help'])\n"
        "    except SystemExit as stop:\n"
        "        assert stop.code == 0\n"
        f"    loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "    assert not loaded, (words, loaded)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f"usage: df2s2 {name} " in done.stdout
        assert summary(name) in done.stdout


def test_commands_are_described_in_a_sentence():
    for name in COMMANDS:
        assert summary(name).endswith((".", ":")) and len(summary(name)) < 100
        assert f"  df2s2 {name} " in load_command(name).__doc__ + " ", "an example"


def test_version_is_told_with_what_it_runs_on(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    expected = [f"{name} {metadata.version(name)}" for name in ("detectron2", "torch")]
    assert capsys.readouterr().out == f"df2s2 {df2s2_d2.__version__}, {', '.join(expected)}\n"


def test_version_without_torch(monkeypatch, capsys):
    def version(_name: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert "torch is not installed" in capsys.readouterr().out


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    printed = capsys.readouterr().err
    assert all(f"  {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["config"], "there is no command 'config': is it configs?"),
        (["xyzzy", "--help"], "there is no command 'xyzzy': `df2s2 --help` lists them"),
    ],
)
def test_unknown_commands_are_told_what_they_are_like(capsys, words, message):
    assert main(words) == 2
    assert capsys.readouterr().err == f"df2s2: error: {message}\n"


def test_what_a_command_returns_is_the_exit_code(command):
    command(lambda *words: int(words[0]) if words else None)
    assert (main(["try"]), main(["try", "7"])) == (0, 7)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a\n  wrong value"),
        FileNotFoundError("a wrong value"),
        ImportError("a wrong value"),
    ],
)
def test_what_its_user_can_mend_is_one_line(command, capsys, error):
    command(fail(error))
    assert main(["try"]) == 1
    assert capsys.readouterr().err == "df2s2 try: error: a wrong value\n"


def test_missing_packages_are_told_with_their_remedy(command, capsys):
    command(fail(ModuleNotFoundError("No module named 'torch'", name="torch")))
    assert main(["try"]) == 1
    assert "'df2s2_d2[detect]'" in capsys.readouterr().err


def test_contradicting_options_are_a_misuse(command, capsys):
    command(fail(argparse.ArgumentError(None, "--a contradicts --b")))
    with pytest.raises(SystemExit) as stop:
        main(["try"])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("usage: df2s2 try") and "--a contradicts --b" in lines[-1]


def test_bugs_keep_their_traceback(command):
    command(fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["try"])


def test_interruption_ends_quietly(command, capsys):
    command(fail(KeyboardInterrupt()))
    assert main(["try"]) == 130
    assert capsys.readouterr().err == ""


def test_a_closed_pipe_ends_quietly():
    """As with "| head": the reader goes before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from df2s2_d2.cli.program import main; sys.exit(main(['configs']))"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_closed_streams_end_nothing(closed):
    command = f'"{sys.executable}" -m df2s2_d2 models {closed}'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("faces-small" in done.stdout) == (closed == "2>&-")


def test_scripts_fail_by_their_own_name(command, monkeypatch, capsys):
    command(fail(ValueError("wrong")))
    monkeypatch.setattr(sys, "argv", ["try.py"])
    with pytest.raises(SystemExit) as stop:
        run_script(program.load_command("try"), "try.py")
    assert stop.value.code == 1
    assert capsys.readouterr().err == "try.py: wrong\n"
    command(lambda: None)
    assert run_script(program.load_command("try"), "try.py") is None


def test_what_an_option_took_from_the_command_is_told(capsys):
    """``--json`` may have a file, and takes the first of the two that the command needs."""
    with pytest.raises(SystemExit):
        main(["evaluate", "wider-face", "--json", "DETECTIONS", "GROUND_TRUTH"])
    error = capsys.readouterr().err
    assert "required: ground_truth (--json takes the words behind it: put" in error
    with pytest.raises(SystemExit):
        main(["evaluate", "wider-face", "DETECTIONS"])
    assert "required: ground_truth\n" in capsys.readouterr().err
