"""metrics.json: the figures of a run, one line an iteration, however often it was killed."""

from __future__ import annotations

import json
import math
import os
from functools import cached_property

from detectron2.utils.events import EventWriter, JSONWriter

from df2s2_d2.training.durable_files import SavingError, write_durably


class MetricsWriter(EventWriter):
    """detectron2's JSONWriter, which opens its file when there is something to be written."""

    def __init__(self, path: str) -> None:
        """
        Args:
            path: lines are added to it, or it is made.
        """
        self._path = path

    @cached_property
    def _writer(self) -> JSONWriter:
        return JSONWriter(self._path)

    def write(self) -> None:
        try:
            self._writer.write()
        except OSError as error:
            raise SavingError(
                f"{self._path} cannot be written ({error.strerror}): make room or make it "
                "writable, and start again with --resume"
            ) from error

    def close(self) -> None:
        if "_writer" in self.__dict__:
            self._writer.close()


def cut_off(path: str, iteration: int | None) -> None:
    """Drop from a metrics.json what a killed run wrote of iterations that will be done again.

    Args:
        path: if there is no such file, nothing is done.
        iteration: the first of these; a last test counts as done in it, and stays. None keeps all
            lines but those that the run was killed in.
    """
    if not os.path.isfile(path):
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    limit = math.inf if iteration is None else iteration
    kept = [line for line in lines if _is_before(line, limit)]
    if kept != lines:
        write_durably(path, "".join(kept).encode())


def has_figure(path: str, name: str, steps: int) -> bool:
    """Whether a metrics.json holds a figure of the test behind so many steps."""
    if not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        rows = [row for row in map(_parsed, file) if name in row]
    return any(row.get("iteration") == steps - 1 or _is_last_test(row, steps) for row in rows)


def _is_last_test(row: dict, steps: int) -> bool:
    """Whether a row is of a test behind the last of so many steps.

    It has the number of the step that would follow, but no rate.
    """
    return row.get("iteration") == steps and "lr" not in row


def _is_before(line: str, iteration: float) -> bool:
    row = _parsed(line)
    return "iteration" in row and (row["iteration"] < iteration or _is_last_test(row, iteration))


def _parsed(line: str) -> dict:
    """A line, empty if the process that wrote it was killed half way."""
    if not line.endswith("\n"):
        return {}
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
