from __future__ import annotations

import itertools

import pytest

from df2s2_d2.inference.image_batches import batches, chunks


def test_images_of_equal_size_meet_in_batches():
    sizes = [(10, 10), (10, 20), (10, 10), (20, 10), (10, 10), (10, 20)]
    found = list(batches(sizes, max_images=2, max_pixels=10**6))
    assert found == [[0, 2], [4], [1, 5], [3]]


def test_batches_are_bounded_in_pixels_and_a_larger_image_is_alone():
    sizes = [(10, 10)] * 5 + [(100, 100)] * 2
    found = list(batches(sizes, max_images=8, max_pixels=299))
    assert found == [[0, 1], [2, 3], [4], [5], [6]]


def test_no_image_is_no_batch():
    assert list(batches([], 8, 100)) == []
    assert list(chunks([], 8, 100)) == []


def test_chunks_are_bounded_in_number_and_cost():
    items = zip("abcdefg", [1, 1, 1, 5, 1, 9, 1], strict=True)
    found = list(chunks(items, max_items=3, max_cost=6))
    assert found == [["a", "b", "c"], ["d", "e"], ["f"], ["g"]]


def test_chunks_take_no_more_than_they_need():
    numbers = itertools.count()
    first = next(chunks(((number, 1) for number in numbers), max_items=4, max_cost=100))
    assert first == [0, 1, 2, 3]
    assert next(numbers) == 4


def test_items_before_a_failure_are_given_out():
    def failing():
        yield "a", 1
        yield "b", 1
        raise OSError("broken")

    found = []
    with pytest.raises(OSError, match="broken"):
        for chunk in chunks(failing(), max_items=8, max_cost=100):
            found.append(chunk)
    assert found == [["a", "b"]]
