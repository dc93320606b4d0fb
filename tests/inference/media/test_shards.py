from __future__ import annotations

import argparse

import pytest

from df2s2_d2.inference.media.shards import Shard


@pytest.mark.parametrize(("length", "count"), [(0, 3), (2, 3), (9, 3), (10, 3), (1000, 7), (5, 1)])
def test_every_item_is_in_one_shard_and_shards_are_even(length, count):
    parts = [Shard(number, count).of(range(length)) for number in range(1, count + 1)]
    assert sorted(item for part in parts for item in part) == list(range(length))
    sizes = list(map(len, parts))
    assert max(sizes) - min(sizes) <= 1
    assert all(part == sorted(part) for part in parts)


def test_names_of_files_tell_shards_apart():
    assert Shard.parse("2/8") == Shard(2, 8)
    assert (Shard(2, 8).suffix, Shard(1, 1).suffix, str(Shard(2, 8))) == (".2-of-8", "", "2/8")


@pytest.mark.parametrize("text", ["", "2", "0/8", "9/8", "1/0", "-1/8", "a/b", "1/8/2", "1.5/2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="such as 2/8, found"):
        Shard.parse(text)
