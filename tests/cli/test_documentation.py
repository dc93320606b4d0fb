"""What docs/command_line.md shows is understood, and every script is the command it names."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from df2s2_d2.cli.commands import COMMANDS, load_command
from df2s2_d2.cli.program import build_parser

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/command_line.md").read_text(encoding="utf-8")


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """The command of a line after "df2s2", and its arguments."""
    name = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS)
    return name, words[len(name.split()) :]


def test_every_command_is_shown_in_a_line_that_is_understood():
    blocks = re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    shown = [words[1:] for words in lines if words[:1] == ["df2s2"] and "--version" not in words]
    names = set()
    for words in shown:
        name, arguments = command_of(words)
        parser = build_parser(load_command(name), name)
        if name in ("train", "train-lazy"):
            parser.parse_args(arguments)
        else:
            parser.parse_intermixed_args(arguments)
        names.add(name)
    assert names == set(COMMANDS)


SCRIPTS = [
    (script, command)
    for row in re.findall(r"^\| (`[^|]*\.py`[^|]*) \| (`df2s2 [^|]*) \|$", TEXT, re.MULTILINE)
    for script, command in zip(*(re.findall(r"`([^`]*)`", cell) for cell in row), strict=True)
]


def test_every_script_that_is_a_command_is_listed():
    doors = {
        path.relative_to(ROOT).as_posix()
        for path in (*ROOT.glob("*.py"), *ROOT.glob("tools/*.py"))
        if "df2s2_d2.cli" in path.read_text(encoding="utf-8")
    }
    assert {script for script, _ in SCRIPTS} == doors


@pytest.mark.parametrize(("script", "command"), SCRIPTS)
def test_scripts_show_the_help_of_their_command(monkeypatch, capsys, script, command):
    source = (ROOT / script).read_text(encoding="utf-8")
    assert f"``{command}``" in source
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as stop:
        exec(
            compile(source, script, "exec"),
            {"__name__": "__main__", "__file__": str(ROOT / script)},
        )
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: ")
    assert load_command(command.removeprefix("df2s2 ")).__doc__.strip() in printed
