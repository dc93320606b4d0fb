"""The layout that all of FDDB's text files share: an image, a number of rows, and the rows."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np

from df2s2_d2.formats.whole_numbers import parse_whole_number


class ImageBlock(NamedTuple):
    """The rows of one image.

    Attributes:
        image: its name without an extension, e.g. ``2002/08/11/big/img_591``.
        line: number of the line with the name, counted from 1.
        rows: (n, columns) float64; (0, 0) without rows.
    """

    image: str
    line: int
    rows: np.ndarray


def parse_blocks(data: bytes, place: str, layouts: Mapping[int, str]) -> Iterator[ImageBlock]:
    """Parse a file of blocks; blank lines are passed over, and line ends may be of any kind.

    Args:
        data: content of the file.
        place: its path, for messages.
        layouts: number of columns that a row may have -> their names, for messages.

    Raises:
        ValueError: if the file departs from the layout; names file and line.
    """
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", errors="replace")
    lines = ((n, line) for n, raw in enumerate(text, start=1) if (line := raw.strip()))
    for number, name in lines:
        if _numbers(name):
            expected = "the name of an image; are there more rows above than their number says?"
            raise _format_error(place, number, expected, name)
        count_number, count_line = next(lines, (number, ""))
        count = parse_whole_number(count_line)
        if count is None:
            expected = f"the number of rows of {name[:80]}"
            raise _format_error(place, count_number, expected, count_line)
        block = list(islice(lines, count))
        rows = _parse_rows(place, block, layouts)
        if len(rows) < count:
            raise ValueError(
                f"{place}, line {count_number}: {count} rows of {name[:80]} announced, but the "
                f"file ends after {len(rows)}; it may be cut short: write it again"
            )
        yield ImageBlock(name.removesuffix(".jpg"), number, rows)


def _parse_rows(place: str, block: list[tuple[int, str]], layouts: Mapping[int, str]) -> np.ndarray:
    rows: list[list[float]] = []
    for number, line in block:
        row = _numbers(line)
        if len(row) not in layouts or not all(map(math.isfinite, row)):
            expected = " or ".join(f"'{names}'" for names in layouts.values())
            raise _format_error(place, number, f"finite numbers {expected}", line)
        if len(row) != len(rows[0] if rows else row):
            expected = f"'{layouts[len(rows[0])]}', like the rows before it"
            raise _format_error(place, number, expected, line)
        rows.append(row)
    return np.array(rows) if rows else np.zeros((0, 0))


def _numbers(line: str) -> list[float]:
    """The numbers in a line; empty if it holds anything else."""
    try:
        return [float(field) for field in line.split()]
    except ValueError:
        return []


def _format_error(place: str, number: int, expected: str, found: str) -> ValueError:
    return ValueError(f"{place}, line {number}: expected {expected}; found '{found[:80]}'")
