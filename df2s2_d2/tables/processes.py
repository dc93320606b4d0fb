"""A training as a process of its own, which does not outlive the one that waits for it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from df2s2_d2.training.process_place import PLACE_VARIABLES

# Which stop a training after its step; SIGKILL, which no process can pass on, ends both.
_PASSED_ON = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux

_POLL_SECONDS = 0.2


class Process:
    """``python -m df2s2_d2 ARGUMENTS``, whose output goes to a file.

    Args:
        arguments: of the program.
        data: root of the data sets.
        folder: of the run, in which console.log gets what it prints, and process.txt says which
            process it is.

    Attributes:
        stopped_by: the last signal that came while it was waited for, which may have been too late
            to stop it; None without any.
    """

    def __init__(self, arguments: Sequence[str], data: Path, folder: Path) -> None:
        self.stopped_by: int | None = None
        self._note = folder / "process.txt"
        self._wait_for_the_one_before(str(folder))
        with (folder / "console.log").open("ab") as console:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "df2s2_d2", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=environment(os.environ, data),
                # Ctrl-C of a terminal would come twice, and the second one ends it at once.
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        self._note.write_text(f"{socket.gethostname()} {self._child.pid}\n", encoding="utf-8")

    def wait(self) -> int:
        """Wait for its end; signals of this process reach it in the meantime.

        Returns:
            Its exit code; of a process that a signal killed, 128 + its number.
        """
        with self._passing_signals_on():
            # Awake now and then: a signal that comes just before a wait without end is noted by
            # Python, and passed on only after it.
            while (code := self._child.poll()) is None:
                time.sleep(_POLL_SECONDS)
        self._note.unlink(missing_ok=True)
        return 128 - code if code < 0 else code

    def stop(self) -> None:
        """Let it end after its step."""
        with suppress(ProcessLookupError):
            self._child.send_signal(signal.SIGTERM)

    @contextmanager
    def _passing_signals_on(self) -> Iterator[None]:
        def pass_on(number: int, _frame: FrameType | None) -> None:
            self.stopped_by = number
            with suppress(ProcessLookupError):
                self._child.send_signal(number)

        before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait_for_the_one_before(self, folder: str) -> None:
        """Whose parent was killed: it may still be at its last step and checkpoint."""
        with suppress(OSError, ValueError):
            host, pid = self._note.read_text(encoding="utf-8").split()
            # Numbers of processes are used again.
            command = Path(f"/proc/{int(pid)}/cmdline")
            while host == socket.gethostname() and folder.encode() in command.read_bytes():
                time.sleep(0.5)


def environment(environ: Mapping[str, str], data: Path) -> dict[str, str]:
    """What a training gets to know.

    It is one run, wherever the command that starts it stands: torchrun, srun and mpirun have told
    that command, and not it, of a place among others.

    Args:
        environ: as ``os.environ``.
        data: root of the data sets.
    """
    kept = {name: value for name, value in environ.items() if name not in PLACE_VARIABLES}
    return {**kept, "DETECTRON2_DATASETS": str(data)}


def _end_with_parent() -> None:
    """In the child, before it becomes the training."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
