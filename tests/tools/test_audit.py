"""The audit of dependencies, with packages and reports made up."""

from __future__ import annotations

import json
from email.message import Message
from types import SimpleNamespace

import audit
import pytest


def package(name: str, *classifiers: str, requires: tuple[str, ...] = (), **fields: str):
    metadata = Message()
    metadata["Name"] = name
    for key, value in fields.items():
        metadata[key.replace("_", "-")] = value
    for classifier in classifiers:
        metadata["Classifier"] = classifier
    return SimpleNamespace(metadata=metadata, requires=list(requires))


@pytest.fixture
def installed(monkeypatch):
    """Function that installs made-up packages, by name."""

    def install(*packages) -> None:
        found = {one.metadata["Name"]: one for one in packages}

        def distribution(name: str):
            if name not in found:
                raise audit.importlib.metadata.PackageNotFoundError(name)
            return found[name]

        monkeypatch.setattr(audit.importlib.metadata, "distribution", distribution)

    return install


OSI = "License :: OSI Approved"
MIT = {"License_Expression": "MIT"}


def test_what_is_required_through_others_and_extras_is_looked_at_and_nothing_else(installed):
    installed(
        package("df2s2-d2", requires=("a", "b[x]; extra == 'dev'", "z; extra == 'other'"), **MIT),
        package("a", requires=("c>=1; python_version > '3'", "y; python_version < '3'"), **MIT),
        package("b", requires=("d; extra == 'x'", "w; extra == 'v'", "a"), **MIT),
        *(package(name, **MIT) for name in ("c", "d", "w", "y", "z", "detectron2")),
    )
    assert sorted(audit.required()) == ["a", "b", "c", "d", "detectron2", "df2s2-d2"]


def test_a_package_that_is_not_installed_is_named(installed):
    installed(package("df2s2-d2", requires=("a",), **MIT), package("detectron2", **MIT))
    with pytest.raises(ModuleNotFoundError, match="a is not installed: run `make venv`"):
        audit.required()


@pytest.mark.parametrize(
    ("made", "licence"),
    [
        (package("a", License_Expression="MIT OR GPL-3.0"), "MIT OR GPL-3.0"),
        (package("a", f"{OSI} :: MIT License"), "MIT"),
        (package("a", OSI, License="BSD"), "BSD-3-Clause"),
        (package("a", f"{OSI} :: Apache Software License", License="x\ny"), "Apache-2.0"),
        (package("a", f"{OSI} :: MIT License", License="UNKNOWN"), "MIT"),
        (package("a", License="GNU GPL"), "GNU GPL"),
        (package("a"), ""),
    ],
)
def test_the_licence_is_found_wherever_a_package_names_it(made, licence):
    assert audit.licence_of(made) == licence


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0 OR MIT", True),
        ("MIT AND GPL-3.0", False),
        ("(MIT OR GPL-3.0) AND Zlib", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT AND (GPL-3.0 OR AGPL-3.0)", False),
        ("", False),
    ],
)
def test_only_allowed_licences_pass(expression, allowed):
    assert audit.is_allowed(expression) == allowed


REPORT = {
    "dependencies": [
        {"name": "A_b", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2", "3"]}]},
        {"name": "c", "version": "1", "vulns": []},
        {"name": "d", "skip_reason": "not found"},
        {"name": "other", "version": "1", "vulns": [{"id": "CVE-2", "fix_versions": []}]},
    ]
}


def test_what_was_not_looked_up_does_not_count_as_sound():
    found, unchecked = audit.advisories(REPORT, ["a-b", "c", "d", "e", "detectron2", "df2s2-d2"])
    assert found == ["a-b 1: CVE-1, mended in 2, 3"]
    assert unchecked == {"d": "not found", "e": "it is not in the report"}


def run_main(installed, tmp_path, capsys, body: str) -> tuple[int, str]:
    """The exit code and the messages, with a program in the place of pip-audit."""
    names = ("a-b", "c", "detectron2")
    installed(package("df2s2-d2", requires=names, **MIT), *(package(x, **MIT) for x in names))
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\n{body}\n")
    program.chmod(0o755)
    code = audit.main(["--pip-audit", str(program)])
    return code, capsys.readouterr().err


def test_a_database_that_is_out_of_reach_is_a_failure(installed, tmp_path, capsys):
    body = "echo trouble >&2; echo no route >&2; exit 1"
    code, errors = run_main(installed, tmp_path, capsys, body)
    assert code == 1 and errors == "pip-audit did not come to its end: no route\n"


def test_an_index_without_advisories_is_a_failure(installed, tmp_path, capsys):
    report = {"dependencies": [{"name": x, "skip_reason": "not found"} for x in ("a-b", "c")]}
    body = f"echo '{json.dumps(report)}' > \"$1\""
    code, errors = run_main(installed, tmp_path, capsys, body)
    assert code == 1
    assert errors.startswith("2 packages could not be checked, the first a-b (not found): run this")


def test_without_a_finding_the_exit_code_is_0(installed, tmp_path, capsys):
    report = {"dependencies": [{"name": x, "version": "1", "vulns": []} for x in ("a-b", "c")]}
    body = f"echo '{json.dumps(report)}' > \"$1\""
    assert run_main(installed, tmp_path, capsys, body) == (0, "")
