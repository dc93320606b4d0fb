"""Time of the stages of a call, wherever in it they happen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock

import torch

from benchmarks.common import synchronize


class StageClock:
    """Adds up seconds by stage; what happens in an inner stage does not count for the outer one.

    Args:
        device: waited for wherever a stage begins or ends.

    Attributes:
        seconds: by stage.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: Counter[str] = Counter()
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the context for this stage."""
        self._switch()
        self._running.append(name)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    def _switch(self) -> None:
        synchronize(self.device)
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def watching(self, *calls: tuple[Any, str, str]) -> Iterator[None]:
        """Count calls of functions, given as owner, name and stage, while the context lasts."""
        with ExitStack() as stack:
            for owner, name, stage in calls:
                stack.enter_context(
                    mock.patch.object(owner, name, self._timed(getattr(owner, name), stage))
                )
            yield

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(stage):
                return function(*args, **kwargs)

        return timed
