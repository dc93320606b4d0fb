"""A signal ends a training after its step, with a checkpoint and a code to be started again on."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator

import torch
from detectron2.engine import HookBase
from detectron2.utils import comm
from torch import distributed

# What schedulers and launchers send before they kill, what is typed, and what SLURM's --signal
# sends well before the time limit.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

# A terminal and the launcher in it may both send the same key press to a process.
_SAME_KEY_PRESS = 1.0  # seconds


def exit_code(signum: int) -> int:
    """128 + signal: 130 of SIGINT, 138 of SIGUSR1, 143 of SIGTERM.

    So shells, SLURM and Kubernetes count what ended by a signal, which is what to start again; and
    a script can tell the warning of a time limit from a cancelled job.
    """
    return 128 + signum


class StopTraining(SystemExit):
    """Ends a training of which nothing is lost, in all of its processes, by :func:`exit_code`.

    Args:
        signum: the signal that one of them has received.
    """

    def __init__(self, signum: int):
        super().__init__(exit_code(signum))
        self.signal = signal.Signals(signum)


class StopOnSignal(HookBase):
    """Stops all processes after the same step when one has received one of STOP_SIGNALS.

    A hook of the trainer, which stops after a step, and the context of its training: as long as it
    lasts signals are only noted; when a signal has ended it, the state after the step is saved
    under the name of a periodic checkpoint, so that a resumed run goes on with the next step. A
    test stops after its image (:func:`stoppable`) and leaves no figures. A second SIGINT ends the
    process at once.

    The last step stops nothing: only its test is left, which may stop, and is repeated by a resumed
    run.
    """

    def __init__(self):
        self._received = 0  # the first signal
        self._received_at = 0.0  # seconds
        self._group: distributed.ProcessGroup | None = None
        self._exchange: tuple[distributed.Work, torch.Tensor] | None = None
        self._previous_handlers: dict = {}

    def __enter__(self) -> StopOnSignal:
        global _listening
        if comm.get_world_size() > 1:
            # On CPU tensors, so that no process waits for its GPU.
            self._group = distributed.new_group(backend="gloo")
        # Handlers belong to the main thread; a trainer in another one leaves signals alone.
        if threading.current_thread() is threading.main_thread():
            for signum in STOP_SIGNALS:
                self._previous_handlers[signum] = signal.signal(signum, self._note)
        _listening = self
        return self

    def __exit__(self, _kind, error: BaseException | None, _traceback) -> None:
        global _listening
        try:
            if isinstance(error, StopTraining):
                self._save(error)
        finally:
            for signum, handler in self._previous_handlers.items():
                signal.signal(signum, handler)
            _listening = None

    def after_step(self) -> None:
        if self.trainer.iter + 1 == self.trainer.max_iter:
            return
        if self._group is None:
            self._stop_on(self._received)
            return
        # Exchanged while the next step runs, so that no process waits for the slowest: a signal
        # takes effect a step later.
        self._stop_on(self._end_exchange())
        self._begin_exchange()

    def signal_noted(self) -> bool:
        """Whether this process has received a signal."""
        return self._received != 0

    def stop_if_any_noted(self) -> None:
        """Stop if a process has received a signal; all have to call it, and wait for each other.

        Raises:
            StopTraining: in all processes.
        """
        if self._group is None:
            self._stop_on(self._received)
            return
        self._stop_on(self._end_exchange())
        self._begin_exchange()
        self._stop_on(self._end_exchange())

    def _note(self, signum: int, _frame) -> None:
        if not self._received:
            self._received, self._received_at = signum, time.monotonic()
            if comm.is_main_process():
                # No logging: the signal may have come in the middle of it.
                name = signal.Signals(signum).name
                # Who has read it may be gone, as tee is after Ctrl-C.
                with contextlib.suppress(OSError):
                    os.write(2, f"{name}: stopping after this step, with a checkpoint\n".encode())
        elif signum == signal.SIGINT and time.monotonic() - self._received_at > _SAME_KEY_PRESS:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

    def _begin_exchange(self) -> None:
        received = torch.tensor(self._received)
        work = distributed.all_reduce(
            received, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        self._exchange = work, received

    def _end_exchange(self) -> int:
        if self._exchange is None:
            return 0
        work, received = self._exchange
        self._exchange = None
        work.wait()
        return int(received)

    def _stop_on(self, signum: int) -> None:
        if signum:
            # Of a GPU, the steps since the last check have not been looked at.
            self.trainer.finite_check.check()
            raise StopTraining(signum)

    def _save(self, stop: StopTraining) -> None:
        trainer = self.trainer
        # Behind the last step there is the final checkpoint.
        if trainer.iter < trainer.max_iter:
            trainer.checkpointer.save(f"model_{trainer.iter:07d}", iteration=trainer.iter)
        logging.getLogger(__name__).info(
            "%s: stopped after iteration %d, all of it saved; go on with --resume. Exit code %d",
            stop.signal.name,
            min(trainer.iter, trainer.max_iter - 1),
            stop.code,
        )


def stoppable(loader: Iterable) -> Iterable:
    """The batches of a test, which during a training end with it if there is a signal.

    Args:
        loader: with a length, on each process its share of the images.
    """
    return loader if _listening is None else _StoppableBatches(loader, _listening)


class _StoppableBatches:
    """Ends by StopTraining in all processes, before any of them goes on to the figures."""

    def __init__(self, loader: Iterable, stop: StopOnSignal):
        self._loader = loader
        self._stop = stop

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator:
        for batch in self._loader:
            if self._stop.signal_noted():
                break
            yield batch
        # Processes that have finished their share wait here for the others.
        self._stop.stop_if_any_noted()


_listening: StopOnSignal | None = None


def _shield_loader() -> None:
    """For processes that load images, which are forked: launchers send signals to all processes of
    a job, and a training cannot finish its step without its loaders.
    """
    if _listening is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    """Let the process that has started this one end it, which multiprocessing does by SIGTERM."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


if hasattr(signal, "sigwaitinfo"):  # where it is missing, on macOS, loaders are not forked
    os.register_at_fork(after_in_child=_shield_loader)
