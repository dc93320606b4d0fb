"""One run, one process: claims in a folder that all machines share.

A claim is a file whose name is a number; the highest counts. Who finds the highest one stale makes
the next, and only one process can make a file that must not exist. Claims may come and go between
looking and making, so who has made one looks again, and gives way to any other that is meant. So
nothing is ever removed or overwritten that another may hold, and no locks are asked of the file
system.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from df2s2_d2.formats.json_file import read_json

# A claim that its holder has not touched for so long is stale, whatever machine it is on.
STALE_SECONDS = 600.0
_BEAT_SECONDS = 30.0


class Claim:
    """What a process has of a run while it does it; a context that gives it back.

    In the meantime the file is touched every half a minute, so that others see that it is meant.

    Args:
        path: of the file, which this process has made.
        on_loss: called if another process has taken the run over, as it may from one that was
            suspended for ten minutes.
        beat_seconds: how often the file is touched.
    """

    def __init__(
        self, path: Path, on_loss: Callable[[], None], beat_seconds: float = _BEAT_SECONDS
    ) -> None:
        self._path = path
        self._on_loss = on_loss
        self._beat_seconds = beat_seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Claim:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        for number in _numbers(self._path.parent):
            if number <= int(self._path.name):
                (self._path.parent / str(number)).unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._is_over.wait(self._beat_seconds):
            try:
                os.utime(self._path)
                is_lost = _numbers(self._path.parent)[-1] != int(self._path.name)
            except FileNotFoundError:
                is_lost = True
            except OSError:  # a file server that is away for a while
                continue
            if is_lost:
                self._on_loss()
                return


def claim(folder: Path, on_loss: Callable[[], None] = lambda: None) -> Claim | None:
    """Claim a run.

    Args:
        folder: of the claims of this run.
        on_loss: see :class:`Claim`.

    Returns:
        None if another process has it.

    Raises:
        OSError: if the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = _numbers(folder)
    if numbers and not _is_stale(folder / str(numbers[-1])):
        return None
    path = folder / str(numbers[-1] + 1 if numbers else 1)
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(_own(), file)
    except FileExistsError:
        return None
    if not _is_alone(path):
        path.unlink(missing_ok=True)
        return None
    return Claim(path, on_loss)


def holder(folder: Path) -> str:
    """Who has a run, in words; "" if nobody has."""
    for number in reversed(_numbers(folder)):
        path = folder / str(number)
        if _is_stale(path):
            return ""
        own = _read(path)
        job = f", job {own['job']}" if own.get("job") else ""
        return f"process {own.get('pid', '?')} on {own.get('host', '?')}{job}"
    return ""


def _own() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "pids": _numbering(),
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "restart": os.environ.get("SLURM_RESTART_COUNT", "0"),
    }


def _numbering() -> str:
    """Within which a process has its number: containers of one host name have numbers of their own,
    and each start of a machine gives them anew."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return ""


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def _is_alone(path: Path) -> bool:
    """Whether a claim is the highest, and all lower ones are stale.

    Of two claims that were made at once at least one sees the other.
    """
    *lower, highest = _numbers(path.parent) or [None]
    return highest == int(path.name) and all(_is_stale(path.parent / str(n)) for n in lower)


def _is_stale(path: Path) -> bool:
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:  # given back just now: another process may have the next already
        return False
    other, own = _read(path), _own()
    is_near = (other.get("host"), other.get("pids")) == (own["host"], own["pids"])
    if is_near and not _runs(other.get("pid")):
        return True
    if own["job"] and other.get("job") == own["job"] and other.get("restart") != own["restart"]:
        return True  # SLURM starts a job again only when all of it has ended
    return _now(path.parent) - touched > STALE_SECONDS


def _runs(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, TypeError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError):  # its maker has not written it yet
        return {}
    return content if isinstance(content, dict) else {}


def _now(folder: Path) -> float:
    """The time by the clock that dates the files, which may be that of a file server."""
    probe = folder / f"clock-{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()
