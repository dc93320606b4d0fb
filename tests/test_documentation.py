"""What the documents show works: every command, all Python, and the scripts that are commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from df2s2_d2.cli.commands import COMMANDS, load_command
from df2s2_d2.cli.program import build_parser, main, parse_arguments
from df2s2_d2.lazy_config import lazy_config_path
from df2s2_d2.shipped_configs import config_path
from tests.document_folder import make_document_folder
from tests.document_snippets import (
    DOCUMENTS,
    ROOT,
    ShellCommand,
    is_mark,
    shell_commands,
    snippets,
)
from tests.inference.conftest import checkpoint, checkpoint_config, save_checkpoint
from tests.small_runs import register_official_below

__all__ = ["checkpoint", "checkpoint_config", "save_checkpoint"]

# What a block that names no language must not hold, since nobody would run it.
_LOOKS_LIKE_SHELL = re.compile(r"^(df2s2|python|pip|make|export|torchrun|srun) ", re.MULTILINE)


def documents_with(language: str):
    """Parameters: the documents that show something in that language."""
    shown = [path for path in DOCUMENTS if any(snippets(path, language))]
    names = [path.relative_to(ROOT).as_posix() for path in shown]
    return pytest.mark.parametrize("document", shown, ids=names)


@pytest.fixture(scope="module")
def filled_folder(tmp_path_factory, checkpoint, sample_dataset) -> Path:
    folder = tmp_path_factory.mktemp("documents") / "filled"
    return make_document_folder(folder, checkpoint, sample_dataset)


@pytest.fixture
def folder(filled_folder, tmp_path, monkeypatch) -> Path:
    """The working folder, in which data sets lie, with the checkout's own folders linked."""
    copy = tmp_path / "work"
    shutil.copytree(filled_folder, copy)
    for name in ("configs", "datasets", "tools"):
        (copy / name).symlink_to(ROOT / name)
    monkeypatch.chdir(copy)
    register_official_below(copy, monkeypatch)
    return copy


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """The command of a line after "df2s2", and its arguments."""
    name = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS)
    return name, words[len(name.split()) :]


def check_understood(words: list[str]) -> None:
    """Check a command that is not run: its options, the configs it names, the files it starts."""
    words = [re.sub(r"\$\w+", "1", word) for word in words]  # variables of a scheduler, a folder
    if words[0] == "make":
        subprocess.run([words[0], "--dry-run", *words[1:]], cwd=ROOT, check=True, timeout=300)
    elif words[0] == "python" and words[1] == "-m":
        path = ROOT / words[2].replace(".", "/")
        assert words[2] == "pip" or path.with_suffix(".py").is_file() or path.is_dir()
    elif words[0] == "python" and words[1] != "-c":
        assert (ROOT / words[1]).is_file()
    if "df2s2" in words[:4] and "--version" not in words:
        name, arguments = command_of(words[words.index("df2s2") + 1 :])
        parsed = parse_arguments(build_parser(load_command(name), name), arguments)
        configs = getattr(parsed, "config_file", None) or []
        for config in [configs] if isinstance(configs, str) else configs:
            find = lazy_config_path if name == "train-lazy" else config_path
            assert config == "CONFIG" or Path(find(config)).is_file()


def run_command(words: list[str]) -> None:
    """Run a command that needs nothing but the folder; what is none of these has to be marked."""
    if words[0] == "df2s2":
        assert main(words[1:]) == 0
    elif words[0] == "python":
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, *words[1:]], check=True, env=environment, timeout=300)
    else:
        pytest.fail(f"{words[0]!r} is neither run nor marked, as by '# needs network'")


def without_variables(command: ShellCommand, monkeypatch) -> list[str]:
    """The words of a command, after setting the variables that it begins with or exports."""
    words = command.words[1:] if command.words[0] == "export" else command.words
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        if not command.is_marked:
            monkeypatch.setenv(*words[0].split("=", 1))
        words = words[1:]
    return words


@documents_with("sh")
def test_commands_run_or_say_what_they_need(document, folder, monkeypatch, capsys):
    for snippet in snippets(document, "sh"):
        for command in shell_commands(snippet):
            words = without_variables(command, monkeypatch)
            if not words:
                continue
            try:
                (check_understood if command.is_marked else run_command)(words)
            except (Exception, SystemExit) as error:
                if isinstance(error, SystemExit) and not error.code:
                    continue  # of --help and --version
                said = capsys.readouterr().err.strip().splitlines()[-1:]
                place = f"{document.relative_to(ROOT)}, line {command.line}: {' '.join(words)}"
                pytest.fail(f"{place}\n{error!r} {said}")


@documents_with("python")
def test_python_runs_or_says_what_it_needs(document, folder):
    own_test = ROOT / f"tests/test_{document.stem}.py"
    if own_test.is_file() and f"docs/{document.name}" in own_test.read_text(encoding="utf-8"):
        pytest.skip(f"{own_test.name} runs it, in a folder that it needs")
    names = {"__name__": "__main__"}
    (folder / "faces.onnx").symlink_to(ROOT / "df2s2_d2/models/faces-small.onnx")
    for snippet in snippets(document, "python"):
        code = compile(snippet.code_at_its_line, str(document), "exec")
        if not snippet.is_marked:
            exec(code, names)


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("df2s2 train  # needs 4 GPUs", True),
        ("# needs network and minutes", True),
        ("make test  # run the tests: needs network", True),
        ("df2s2 train  # needs patience", False),
        ("df2s2 train --needs network", False),
        ("df2s2 detect photos/  # into found/", False),
    ],
)
def test_marks_say_what_is_needed(line, marked):
    assert is_mark(line) is marked


def test_blocks_of_commands_name_their_language():
    for document in DOCUMENTS:
        for snippet in snippets(document, ""):
            place = f"{document.relative_to(ROOT)}, line {snippet.line}"
            assert not _LOOKS_LIKE_SHELL.search(snippet.code), f"{place}: name it sh"


def test_every_command_is_shown_on_the_page_about_them():
    page = ROOT / "docs/command_line.md"
    words = [c.words for block in snippets(page, "sh") for c in shell_commands(block)]
    shown = [line[1:] for line in words if line[0] == "df2s2" and line[1] != "--version"]
    assert {command_of(line)[0] for line in shown} == set(COMMANDS)


COMMAND_LINE = (ROOT / "docs/command_line.md").read_text(encoding="utf-8")
_DOOR = re.compile(r"^\| (`[^|]*\.py`[^|]*) \| (`df2s2 [^|]*) \|$", re.MULTILINE)
SCRIPTS = [
    (script, command)
    for row in _DOOR.findall(COMMAND_LINE)
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
