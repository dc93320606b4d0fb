#!/usr/bin/env python3
"""Run the tests in every environment that is supported and can be made here.

  python tools/environment_matrix.py                        # all that have an interpreter here
  python tools/environment_matrix.py --only 3.10            # those whose names hold this
  python tools/environment_matrix.py --keep -- -k losses    # options of pytest come last

Each environment is a folder below .venv-matrix/, made as `make venv` makes .venv, and removed
afterwards, for it takes 6 GB. What has no interpreter, or cannot be installed, is listed with the
reason; the exit code is 1 if tests fail, or not one environment could be tested.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-matrix"

# Pairs of torch and torchvision: the oldest that is supported, and the newest that is tested.
OLDEST = ("torch==2.11.0", "torchvision==0.26.0")
NEWEST = ("torch==2.14.1", "torchvision==0.29.1")


@dataclass(frozen=True)
class Environment:
    """A Python and a pair of torch and torchvision, as pip names them."""

    python: str
    packages: tuple[str, str]

    @property
    def name(self) -> str:
        return f"python{self.python}-{self.packages[0].replace('==', '')}"

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def interpreter(self) -> Path:
        return self.folder / "bin/python"


ENVIRONMENTS = (
    Environment("3.10", OLDEST),
    Environment("3.10", NEWEST),
    Environment("3.11", NEWEST),
    Environment("3.12", NEWEST),
    Environment("3.13", OLDEST),
    Environment("3.13", NEWEST),
)


class NotMade(Exception):
    """An environment cannot be made here; says why."""


def find_python(version: str) -> str | None:
    """An interpreter of a version such as "3.12": on the PATH, or of pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    of_pyenv = sorted(
        root.glob(f"versions/{version}.*/bin/python"),
        key=lambda path: [int(x) for x in re.findall(r"\d+", path.parts[-3])],
    )
    # pyenv puts programs on the PATH that only say which versions there are.
    for path in [*map(str, reversed(of_pyenv)), shutil.which(f"python{version}")]:
        if path and _says_version(path, version):
            return path
    return None


def _says_version(path: str, version: str) -> bool:
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    result = subprocess.run([path, "-c", code], capture_output=True, text=True)
    return result.returncode == 0 and result.stdout.strip() == version


def make(environment: Environment) -> None:
    """Make an environment, or bring one up to date that is there.

    Raises:
        NotMade: with the step and the last line of what it said.
    """
    python = find_python(environment.python)
    if python is None:
        raise NotMade(f"there is no Python {environment.python} on the PATH or of pyenv")
    folder, interpreter = environment.folder, str(environment.interpreter)
    pip = [interpreter, "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq", "install"]
    if not environment.interpreter.exists():
        _step([python, "-m", "venv", str(folder)])
    _step([*pip, "--upgrade", "pip"])
    _step([*pip, *environment.packages])
    _step([*pip, "--editable", f"{ROOT}[dev]"])
    _step([interpreter, str(ROOT / "tools/install_detectron2.py")])


def _step(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip() or "it says nothing").splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise NotMade(f"`{' '.join(command[1:4])} …` failed: {errors[-1]}")


def run_tests(environment: Environment, options: Sequence[str]) -> tuple[bool, str]:
    """Run the tests in an environment.

    Returns:
        Whether they pass, and pytest's last line.
    """
    # Another checkout on the path would be tested in the place of this one.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        [str(environment.interpreter), "-m", "pytest", "tests", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=environ,
    )
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        if re.search(r"\d+ (passed|failed|error|skipped|deselected)", line):
            last = line.strip(" =\n")
    return process.wait() == 0, last or "pytest said nothing"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="environments named so")
    parser.add_argument("--keep", action="store_true", help="leave the environments there")
    parser.add_argument("options", nargs="*", metavar="-- OPTIONS", help="of pytest")
    args = parser.parse_args(arguments)
    options = args.options or ["-n", "logical", "--maxprocesses", "4"]
    chosen = [one for one in ENVIRONMENTS if args.only in one.name]
    if not chosen:
        parser.error(f"--only {args.only}: expected part of one of {_names(ENVIRONMENTS)}")
    rows = []
    for environment in chosen:
        print(f"== {environment.name}", flush=True)
        started = time.monotonic()
        try:
            make(environment)
            passed, last = run_tests(environment, options)
            rows.append((environment.name, "passed" if passed else "FAILED", last))
        except NotMade as error:
            rows.append((environment.name, "left out", str(error)))
        finally:
            if not args.keep:
                shutil.rmtree(environment.folder, ignore_errors=True)
        print(f"== {rows[-1][1]} after {(time.monotonic() - started) / 60:.0f} minutes", flush=True)
    print()
    for name, state, said in rows:
        print(f"{name:24} {state:8} {said}")
    states = [state for _, state, _ in rows]
    return int("FAILED" in states or "passed" not in states)


def _names(environments: Sequence[Environment]) -> str:
    return ", ".join(environment.name for environment in environments)


if __name__ == "__main__":
    sys.exit(main())
