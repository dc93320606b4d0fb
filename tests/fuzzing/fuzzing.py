"""What every fuzz test is made of: cases, how they may end, and what they may cost.

``make test`` runs a few cases of each test, always the same ones. ``make fuzz`` sets
``DF2S2_FUZZ_CASES``: so many cases, others in each run.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

LONG_RUN = int(os.getenv("DF2S2_FUZZ_CASES", "0"))

# Of the processor for one case; unlike those of a clock, a busy machine takes no more of them.
MOST_SECONDS = 20
# That a test may add to the memory of its process, whatever is in its files.
MOST_BYTES = 600 << 20

_LONGEST_MESSAGE = 1_000

Result = TypeVar("Result")


def fuzz(cases: SearchStrategy, short: int = 60) -> Callable:
    """Run a test of one argument, ``case``, on many of them.

    Args:
        cases: what they are drawn from.
        short: how many there are without a long run.
    """

    def decorate(test: Callable) -> Callable:
        phases = [Phase.explicit, Phase.generate, Phase.shrink]
        checked = settings(
            max_examples=LONG_RUN or short,
            derandomize=not LONG_RUN,
            database=None,
            deadline=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        fuzzed = checked(given(case=cases)(test))
        fuzzed.cases = cases  # for tools/guided_fuzzing.py, which chooses among them
        return fuzzed

    return decorate


def ends_well(call: Callable[[], Result], place: str) -> Result | None:
    """Run what may fail by an error of this project alone.

    Args:
        call: reads a file.
        place: the file, which the error has to name.

    Returns:
        The result; None after such an error.
    """
    with _time_limit():
        try:
            return call()
        except (ValueError, OSError) as error:
            message = str(error)
            own = type(error) in (ValueError, OSError, FileNotFoundError)
            assert own or type(error).__module__.startswith("df2s2_d2."), repr(error)
            assert place in message, message
            assert len(message) < _LONGEST_MESSAGE, message
            return None


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Check that the process has not grown beyond what a test may cost."""
    before = _most_memory()
    yield
    assert _most_memory() - before < MOST_BYTES


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_) -> None:
        raise AssertionError(f"more than {MOST_SECONDS} seconds")

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
