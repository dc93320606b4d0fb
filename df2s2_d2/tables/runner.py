"""Does the runs of a table one after another, beside other processes that do the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from df2s2_d2.tables.claims import claim, holder
from df2s2_d2.tables.collecting import collect_result
from df2s2_d2.tables.markdown import figures_in_percent
from df2s2_d2.tables.processes import Process
from df2s2_d2.tables.runs import Run
from df2s2_d2.training.durable_files import write_durably

# Exit codes of a training that a signal has stopped, and that goes on when it is started again.
_STOPPED = (130, 138, 143)
# Lines of what a failed training has printed that are shown.
_SHOWN_LINES = 15


class Started(Protocol):
    """A training that runs."""

    stopped_by: int | None

    def wait(self) -> int:
        """Its exit code, once it has ended."""

    def stop(self) -> None:
        """Let it end before its time."""


Start = Callable[[Sequence[str], Path, Path], Started]


def do_runs(
    runs: Iterable[Run], tell: Callable[[str], None] = print, start: Start = Process
) -> int:
    """Train and test what is not finished and nobody else is doing.

    A run that fails stops no other one; it is tried again, from its last checkpoint, the next time.

    Args:
        runs: of :func:`~df2s2_d2.tables.runs.plan_runs`.
        tell: gets a line whenever something begins or ends.
        start: starts a training, given its arguments, the root of the data sets and its folder.

    Returns:
        The exit code: 0, 1 if a run failed, or 128 + the signal that came during one, and has
        stopped it, unless it was done already, and all that were to follow.

    Raises:
        OSError, ValueError: if a result or a claim cannot be written or read.
    """
    has_failed = False
    for run in runs:
        if run.is_finished:
            tell(f"{run.name}: finished before")
            continue
        code = _do(run, tell, start)
        if code in _STOPPED:
            return code
        has_failed |= code != 0
    return int(has_failed)


def _do(run: Run, tell: Callable[[str], None], start: Start) -> int:
    training: list[Started] = []
    own = claim(run.claims, on_loss=lambda: [process.stop() for process in training])
    if own is None:
        tell(f"{run.name}: {holder(run.claims) or 'another process'} is doing it")
        return 0
    with own:
        if run.is_finished:  # while this process looked for something to do
            tell(f"{run.name}: finished before")
            return 0
        run.start()
        run.check_unchanged()  # by another process that was faster
        tell(f"{run.name}: df2s2 {' '.join(run.command[:3])} ... in {run.folder}")
        began = time.monotonic()
        training.append(start(run.arguments, run.choices.data, run.folder))
        code = training[0].wait()
        took = f"after {(time.monotonic() - began) / 60:.1f} min"
        if code in _STOPPED:
            tell(f"{run.name}: stopped {took}, goes on when it is started again")
        elif code:
            tell(f"{run.name}: FAILED with exit code {code} {took}:{_last_lines(run.folder)}")
        else:
            result = collect_result(run)
            run.result.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(result, indent=1, ensure_ascii=False)
            write_durably(str(run.result), f"{text}\n".encode())
            tell(f"{run.name}: AP {figures_in_percent(result['ap'])} {took}")
        number = training[0].stopped_by
    return code if number is None else 128 + number


def _last_lines(folder: Path) -> str:
    path = folder / "console.log"
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
    return "\n    ".join(["", *lines, f"(all of it: {path})"])
