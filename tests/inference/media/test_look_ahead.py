from __future__ import annotations

import threading
import time

import pytest

from df2s2_d2.inference.media.look_ahead import iterate_ahead, map_ahead


def test_results_keep_the_order_of_the_items():
    fourth_is_made = threading.Event()

    def first_last(item: int) -> int:
        if item == 3:
            fourth_is_made.set()
        if item == 0:
            assert fourth_is_made.wait(timeout=60)
        return item * 2

    assert list(map_ahead(first_last, range(20), workers=4, ahead=5)) == list(range(0, 40, 2))


def test_items_are_taken_only_a_few_ahead():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = map_ahead(lambda item: item, items(), workers=2, ahead=3)
    assert taken == []
    next(results)
    assert len(taken) == 4
    next(results)
    assert len(taken) == 5
    results.close()


def test_costly_items_are_taken_one_by_one():
    taken = []

    def items():
        for item in (1, 1, 1, 9, 1, 1, 1):
            taken.append(item)
            yield item

    results = map_ahead(
        lambda item: item, items(), workers=2, ahead=9, cost=lambda item: item, max_cost=3
    )
    numbers = []
    for _ in results:
        numbers.append(len(taken))
    # The costly one is taken, and then what is there is used up before another.
    assert numbers == [4, 4, 4, 4, 7, 7, 7]


def test_work_is_done_while_the_consumer_is_busy():
    begun = threading.Event()

    def note_second(item: int) -> int:
        if item == 1:
            begun.set()
        return item

    results = map_ahead(note_second, range(3), workers=1, ahead=1)
    assert next(results) == 0
    assert begun.wait(timeout=60)
    results.close()


def test_nothing_is_made_ahead_of_a_live_picture():
    made = []
    results = map_ahead(made.append, range(5), workers=1, ahead=0)
    next(results)
    assert made == [0]
    results.close()


def test_what_was_begun_is_finished_if_the_items_break_off():
    finished, broken_off = [], threading.Event()

    def items():
        yield from range(3)
        broken_off.set()
        raise KeyboardInterrupt

    def finish(item: int) -> None:
        assert broken_off.wait(timeout=60)
        finished.append(item)

    with pytest.raises(KeyboardInterrupt):
        list(map_ahead(finish, items(), workers=1, ahead=5))
    assert finished == [0, 1, 2]


def test_error_of_an_item_is_raised_in_its_place():
    results = map_ahead(lambda item: 1 // item, [1, 0], workers=2, ahead=4)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_iterator_is_advanced_in_one_other_thread():
    threads = set()

    def items():
        for item in range(10):
            threads.add(threading.get_ident())
            yield item

    assert list(iterate_ahead(items(), ahead=3)) == list(range(10))
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_stopping_early_leaves_the_iterator_idle():
    def forever():
        while True:
            time.sleep(0.001)
            yield 1

    iterator = forever()
    ahead = iterate_ahead(iterator, ahead=4)
    assert next(ahead) == 1
    ahead.close()
    iterator.close()  # fails while a thread is inside
