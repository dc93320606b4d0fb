"""Which environments are made, and what is said of those that cannot be."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import environment_matrix as matrix
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(monkeypatch, tmp_path) -> Path:
    monkeypatch.setattr(matrix, "FOLDER", tmp_path / "environments")
    return matrix.FOLDER


@pytest.fixture
def outcomes(monkeypatch, folder):
    """Environments are folders; what becomes of their tests stands in the dict that this gives."""
    outcomes: dict[str, bool | str] = {}

    def make(environment):
        environment.folder.mkdir(parents=True)
        if isinstance(outcomes[environment.name], str):
            raise matrix.NotMade(outcomes[environment.name])

    def run_tests(environment, options):
        passed = outcomes[environment.name]
        return passed, f"{'1 passed' if passed else '1 failed'} with {options}"

    monkeypatch.setattr(matrix, "make", make)
    monkeypatch.setattr(matrix, "run_tests", run_tests)
    return outcomes


NAMES = [environment.name for environment in matrix.ENVIRONMENTS]


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([True, True], 0),
        ([True, "no such Python"], 0),
        ([True, False], 1),
        (["no such Python", "no such Python"], 1),
    ],
)
def test_a_failure_and_no_test_at_all_are_a_failure(outcomes, folder, capsys, states, code):
    chosen = [name for name in NAMES if "3.10" in name]
    outcomes.update(zip(chosen, states, strict=True))
    assert matrix.main(["--only", "3.10", "--", "-k", "losses"]) == code
    table = capsys.readouterr().out.splitlines()[-2:]
    words = {True: "passed", False: "FAILED"}
    for name, state, row in zip(chosen, states, table, strict=True):
        assert row.split()[:1] == [name]
        assert words.get(state, "left out no such Python") in row
        assert isinstance(state, str) or "['-k', 'losses']" in row
    assert list(folder.iterdir()) == []


def test_environments_are_kept_if_that_is_asked_for(outcomes, folder):
    outcomes[NAMES[-1]] = True
    assert matrix.main(["--only", NAMES[-1], "--keep"]) == 0
    assert [path.name for path in folder.iterdir()] == [NAMES[-1]]


def test_a_name_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        matrix.main(["--only", "2.7"])
    assert "expected part of one of python3.10-torch" in capsys.readouterr().err


def interpreter(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)


def test_interpreters_are_tried_before_they_are_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert matrix.find_python("3.12") is None
    interpreter(tmp_path / "shims/python3.12", "echo 'not installed' >&2; exit 127")
    assert matrix.find_python("3.12") is None
    for patch in ("9", "10"):
        interpreter(tmp_path / f"pyenv/versions/3.12.{patch}/bin/python", "echo 3.12")
    assert matrix.find_python("3.12") == str(tmp_path / "pyenv/versions/3.12.10/bin/python")
    interpreter(tmp_path / "pyenv/versions/3.12.11/bin/python", "echo 3.11")
    assert matrix.find_python("3.12") == str(tmp_path / "pyenv/versions/3.12.10/bin/python")


def test_this_interpreter_is_one():
    major, minor = sys.version_info[:2]
    assert matrix._says_version(sys.executable, f"{major}.{minor}")
    assert not matrix._says_version(sys.executable, f"{major}.{minor + 1}")


def test_a_step_that_fails_is_told_by_its_error(folder):
    code = "import sys; sys.exit('progress\\nERROR: no torch==9\\nnotice')"
    with pytest.raises(matrix.NotMade, match="`-c .* failed: ERROR: no torch==9$"):
        matrix._step([sys.executable, "-c", code])


def test_every_supported_python_and_the_ends_of_torch_are_tested_here_and_on_github():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    low, high = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', project).groups()
    pythons = {f"3.{minor}" for minor in range(int(low), int(high))}
    assert {environment.python for environment in matrix.ENVIRONMENTS} == pythons
    oldest = re.search(r'"torch>=([\d.]+)"', project)[1]
    assert matrix.OLDEST[0] == f"torch=={oldest}.0"
    assert " ".join(matrix.NEWEST) in (ROOT / "Makefile").read_text(encoding="utf-8")
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    entries = workflow["jobs"]["tests"]["strategy"]["matrix"]["include"]
    assert [(str(entry["python"]), tuple(entry["torch"].split())) for entry in entries] == [
        (environment.python, environment.packages) for environment in matrix.ENVIRONMENTS
    ]
