"""What the tests say does not depend on how fast or busy a machine is."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent
# Speed is shown by benchmarks/; on a machine that does other work too, a test of it fails at times.
STOPWATCHES = {"perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "timeit"}


def stopwatches_in(source: str) -> set[str]:
    """Functions that measure time, as attributes of modules or imported by name."""
    nodes = list(ast.walk(ast.parse(source)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    imported = {
        name.name for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names
    }
    return (attributes | imported) & STOPWATCHES


def test_no_test_measures_time():
    found = {
        path.relative_to(TESTS).as_posix(): used
        for path in TESTS.rglob("*.py")
        if (used := stopwatches_in(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_stopwatches_are_seen_however_they_are_imported():
    assert stopwatches_in("import time\nstart = time.process_time()") == {"process_time"}
    assert stopwatches_in("from time import perf_counter as now") == {"perf_counter"}
    assert stopwatches_in("patch('time.perf_counter')\ntime.sleep(1)") == set()
