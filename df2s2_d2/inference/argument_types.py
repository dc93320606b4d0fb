"""Numbers and names on a command line, checked as they are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def number_up_to(limit: float) -> Callable[[str], float]:
    """A parser's type: a number from 0 to ``limit``."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= limit:
            raise argparse.ArgumentTypeError(f"expected a number from 0 to {limit}, found {text}")
        return value

    return number


def whole_number_up_to(limit: int) -> Callable[[str], int]:
    """A parser's type: a whole number from 0 to ``limit``."""

    def number(text: str) -> int:
        value = int(text) if text.isdecimal() else -1
        if not 0 <= value <= limit:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from 0 to {limit}, found {text}"
            )
        return value

    return number


def whole_number(text: str) -> int:
    """A parser's type: a whole number from 0."""
    return _at_least(0, text)


def positive_integer(text: str) -> int:
    """A parser's type: a whole number from 1."""
    return _at_least(1, text)


def _at_least(least: int, text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, found {text}")
    return value


def path_name(text: str) -> str:
    """A parser's type: a path, which an empty text is not, although it would mean this folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found an empty text")
    return text
