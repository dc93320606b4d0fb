#!/usr/bin/env python3
"""Fuzz the parsers with cases that are chosen by the code that they reach.

  python tools/guided_fuzzing.py                             # every fuzz test, a minute each
  python tools/guided_fuzzing.py --seconds 600 --only detections

The tests are those of tests/fuzzing, which say what a case is, how it may end and what it may cost.
Hypothesis alone draws each case anew; here atheris (libFuzzer) keeps the cases that have reached
new places in the package, and changes these. Each test has a process of its own. One that a case
makes fail is listed, with its last words; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, settings

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests/fuzzing"

# libFuzzer's own bounds come after those of the tests, which say what was wrong; its seconds are of
# the clock, on however busy a machine.
_BOUNDS = ("-timeout=600", "-rss_limit_mb=3000", "-max_len=8192")
# Of few cases there may be no word of what they have reached.
_CASES = re.compile(r"^#(\d+)\s+DONE(?:\s+cov: (\d+))?", re.MULTILINE)


def find_tests() -> list[str]:
    """The tests that get cases, as ``module:function``."""
    modules = [f"tests.fuzzing.{path.stem}" for path in sorted(FOLDER.glob("test_*.py"))]
    return [f"{module}:{name}" for module in modules for name in _fuzz_tests(module)]


def _fuzz_tests(module: str) -> Iterator[str]:
    for name, test in vars(importlib.import_module(module)).items():
        if hasattr(test, "cases"):
            yield name


def case_runner(test: Callable, folder: Path) -> Callable[[bytes], object]:
    """A function that makes one case of some bytes, and runs a test on it.

    Args:
        test: decorated by ``tests.fuzzing.fuzzing.fuzz``.
        folder: for its files.
    """
    function = test.hypothesis.inner_test
    others = {"folder": folder} if "folder" in inspect.signature(function).parameters else {}

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=test.cases)
    def run(case: object) -> None:
        function(**others, case=case)

    return run.hypothesis.fuzz_one_input


def _fuzz(name: str, seconds: int) -> None:
    """Run cases in this process, which ends then."""
    import atheris

    module, function = name.split(":")
    with atheris.instrument_imports(include=["df2s2_d2"]):
        test = getattr(importlib.import_module(module), function)
    warnings.simplefilter("ignore")
    folder = Path.cwd()
    bounds = [*_BOUNDS, f"-max_total_time={seconds}", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *bounds], case_runner(test, folder))
    atheris.Fuzz()


def _fuzz_in_a_process(name: str, seconds: int) -> bool:
    """Whether all cases ended well; prints how many there were, or what was said of the last."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--run", name, "--seconds", str(seconds)]
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    said = done.stdout.decode(errors="replace")
    count = _CASES.search(said)
    label = name.removeprefix("tests.fuzzing.")
    if done.returncode == 0 and count:
        print(
            f"{label}: {int(count[1]):,} cases, {int(count[2] or 0):,} places reached", flush=True
        )
        return True
    print(f"{label}: a case ended badly\n{said}", flush=True)
    return False


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each test; default 60")
    parser.add_argument("--only", default="", help="tests whose names hold this")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    args = parse_args(arguments)
    sys.path.insert(0, str(ROOT))
    if importlib.util.find_spec("atheris") is None:
        sys.exit("guided_fuzzing.py: atheris is missing: pip install -e '.[fuzzing]'")
    if args.run:
        _fuzz(args.run, args.seconds)
        return
    names = [name for name in find_tests() if args.only in name]
    if not names:
        sys.exit(f"guided_fuzzing.py: no fuzz test has {args.only!r} in its name")
    failed = [name for name in names if not _fuzz_in_a_process(name, args.seconds)]
    print(f"{len(names) - len(failed)} of {len(names)} tests ended well")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
