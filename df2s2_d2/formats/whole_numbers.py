"""Whole numbers in texts, such as how many rows follow."""

from __future__ import annotations

_MOST_DIGITS = 9  # no file has as many rows, no image as many pixels on a side


def parse_whole_number(text: str) -> int | None:
    """The number of 0 or more that a text states in decimal digits; None if it is anything else."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None
