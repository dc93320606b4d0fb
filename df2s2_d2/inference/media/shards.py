"""A list of inputs shared out among several runs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """One of several runs that together look at all inputs.

    Attributes:
        number: which it is, from 1.
        count: how many there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A parser's type: ``2/8``."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = cls(*map(int, match.groups())) if match else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise argparse.ArgumentTypeError(
                f"expected the number of this run and that of all, such as 2/8, found {text}"
            )
        return shard

    @property
    def suffix(self) -> str:
        """Of the names of files that no other shard may write; empty if there is none."""
        return f".{self.number}-of-{self.count}" if self.count > 1 else ""

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Every ``count``-th item: shards have as many as each other, or one more."""
        return list(items[self.number - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
