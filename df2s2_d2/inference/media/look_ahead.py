"""Work done in the background while its earlier results are used, a bounded number of steps ahead.

Reading, drawing and compressing images leave Python's lock to others, so threads are enough.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    ahead: int,
    cost: Callable[[Item], int] = lambda _: 0,
    max_cost: int = 0,
) -> Iterator[Result]:
    """As ``map``, in threads; what was begun is finished also if the consumer stops early.

    Args:
        function: called from several threads if there are several workers, else in order.
        items: taken in the consumer's thread.
        workers: number of threads.
        ahead: most results that are being made or wait for the consumer.
        cost: of an item or its result, called in the consumer's thread.
        max_cost: no further items are taken while those that are being made or wait cost more.
    """
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[tuple[Future, int]] = deque()
        for item in items:
            pending.append((pool.submit(function, item), cost(item)))
            while len(pending) > ahead or sum(spent for _, spent in pending) > max_cost:
                yield pending.popleft()[0].result()
        while pending:
            yield pending.popleft()[0].result()


def iterate_ahead(items: Iterator[Item], *, ahead: int) -> Iterator[Item]:
    """The items, which an iterator makes in a thread, at most ``ahead`` before they are wanted."""
    end = object()
    results = map_ahead(lambda _: next(items, end), itertools.count(), workers=1, ahead=ahead)
    with contextlib.closing(results):
        yield from itertools.takewhile(lambda item: item is not end, results)
