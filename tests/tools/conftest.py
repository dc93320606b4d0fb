"""The scripts of tools/, run in this process as they are run in their own."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable

import pytest


@pytest.fixture
def run_tool(monkeypatch, capsys) -> Callable[..., subprocess.CompletedProcess]:
    """``run_tool(name, *arguments)`` runs tools/NAME.py; gives its exit code and both outputs.

    Loading this process's libraries once for all of them takes most of the time that a process of
    its own does.
    """

    def run(name: str, *arguments) -> subprocess.CompletedProcess:
        words = [f"{name}.py", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        capsys.readouterr()
        try:
            importlib.import_module(name).main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return run
