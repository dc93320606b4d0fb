"""Cells, numbers and texts of ``.mat`` files, of whatever origin: layout of "MAT-File Format", 5.

An element is a tag (type and number of bytes) and its data; an array is an element of elements:
flags, dimensions, name, and its content. SciPy's reader believes what a file states: a few bytes of
a stranger can make it fill the memory or end the process by a segmentation fault. Here no array has
more than its bytes hold, no cell lies deeper than lists of faces need, and nothing else is read.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

# Bytes of all variables, unpacked. The official lists of WIDER FACE have less than ten million.
_LARGEST_UNPACKED = 1 << 28
_UNPACKED_AT_ONCE = 1 << 20

# Of cells in each other: events, images, and one more to spare.
_MOST_LEVELS = 3

_HEADER_BYTES = 128
_ARRAY, _PACKED = 14, 15  # types of elements
# Types of elements that hold numbers, and texts in code units of their width.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_NUMBERS |= {12: "i8", 13: "u8"}
_CHARACTERS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _TEXT = 1, 4  # classes of arrays
_NUMERIC = range(6, 16)
_COMPLEX = 0x800  # among the flags


def read_mat(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read variables of a file of MATLAB's format 5 (options -v6 and -v7, and SciPy's savemat).

    Args:
        path: of the file.
        names: of the variables; others are passed over.

    Returns:
        Name -> array, of those that are there: objects for cells, which hold arrays again; one
        text for a row of characters; otherwise numbers, in the type they are stored in.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is another file, damaged, or a variable of another kind; tells which.
    """
    if path.stat().st_size > _LARGEST_UNPACKED:
        raise ValueError("it is larger than such lists are")
    data = memoryview(path.read_bytes())
    orders = {b"IM": "<", b"MI": ">"}
    order = orders.get(bytes(data[_HEADER_BYTES - 2 : _HEADER_BYTES]))
    if order is None:
        raise ValueError("expected MATLAB's format 5, as of options -v6 and -v7")
    variables: dict[str, np.ndarray] = {}
    budget = _LARGEST_UNPACKED
    for kind, content in _elements(data[_HEADER_BYTES:], order, alignment=1):
        if kind == _PACKED:
            content = _unpack(content, budget)
            budget -= len(content)
            kind, content = next(_elements(content, order), (0, content))
        if kind == _ARRAY:
            parts = _Parts(content, order)
            if parts.name in names:
                variables[parts.name] = parts.value(level=1)
    return variables


class _Parts:
    """The elements of an array."""

    def __init__(self, content: memoryview, order: str):
        self._order = order
        self._elements = _elements(content, order)
        flags, dimensions, name = (next(self._elements, (0, content[:0]))[1] for _ in range(3))
        if len(flags) < 4 or len(dimensions) < 8 or len(dimensions) % 4:
            raise ValueError("an array lacks its flags or dimensions")
        self._flags = struct.unpack_from(f"{order}I", flags)[0]
        self._shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
        self.name = bytes(name).decode("latin-1")
        if min(self._shape) < 0 or math.prod(self._shape) > len(content):
            raise ValueError(f"an array states the sides {self._shape}, more than it has bytes")

    def value(self, level: int) -> np.ndarray:
        """The array, and all in it.

        Args:
            level: 1 for a variable, 2 for a cell in one.
        """
        array_class = self._flags & 0xFF
        if array_class == _CELL and level <= _MOST_LEVELS:
            return self._cells(level)
        if array_class == _TEXT:
            return self._text()
        if array_class in _NUMERIC and not self._flags & _COMPLEX:
            return self._numbers()
        raise ValueError("it holds another kind of value than cells, texts and real numbers")

    def _cells(self, level: int) -> np.ndarray:
        cells = np.empty(math.prod(self._shape), object)
        for index in range(len(cells)):
            kind, content = next(self._elements, (0, memoryview(b"")))
            if kind != _ARRAY:
                raise ValueError("a cell is missing")
            # An empty cell may be an array of which not even the flags are stored.
            cells[index] = (
                _Parts(content, self._order).value(level + 1) if content else np.zeros((0, 0))
            )
        return cells.reshape(self._shape, order="F")

    def _text(self) -> np.ndarray:
        kind, content = next(self._elements, (0, memoryview(b"")))
        if self._shape[0] > 1 or len(self._shape) != 2:
            raise ValueError("it holds texts of several lines")
        coding = _CHARACTERS.get(kind, "")
        if content and not coding:
            raise ValueError(f"it holds texts in elements of type {kind}")
        if coding in ("utf-16", "utf-32"):
            coding += "-le" if self._order == "<" else "-be"
        return np.array(bytes(content).decode(coding or "ascii"), dtype=np.str_)

    def _numbers(self) -> np.ndarray:
        kind, content = next(self._elements, (0, memoryview(b"")))
        size = math.prod(self._shape)
        if size and kind not in _NUMBERS:
            raise ValueError(f"it holds numbers in elements of type {kind}")
        numbers = np.frombuffer(bytes(content), self._order + _NUMBERS.get(kind, "f8"))
        if len(numbers) != size:
            raise ValueError(f"an array of the sides {self._shape} has {len(numbers)} numbers")
        return numbers.astype(numbers.dtype.newbyteorder("=")).reshape(self._shape, order="F")


def _elements(data: memoryview, order: str, alignment: int = 8) -> Iterator[tuple[int, memoryview]]:
    """Types and contents of the elements in a row."""
    position = 0
    while position + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}2I", data, position)
        start = position + 8
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, length, start = kind & 0xFFFF, kind >> 16, position + 4
            if length > 4:
                raise ValueError("an element is damaged")
            position += 8
        else:
            position = start + length + (-length % alignment)
        if start + length > len(data):
            raise ValueError("it is cut short")
        yield kind, data[start : start + length]


def _unpack(data: memoryview, most: int) -> memoryview:
    unpacker, unpacked = zlib.decompressobj(), bytearray()
    try:
        while data and len(unpacked) <= most:
            unpacked += unpacker.decompress(data, _UNPACKED_AT_ONCE)
            data = unpacker.unconsumed_tail
        if not data:
            unpacked += unpacker.flush()  # at most the end of a repetition
    except zlib.error as error:
        raise ValueError(f"a variable cannot be unpacked: {error}") from error
    if len(unpacked) > most:
        raise ValueError("its variables unpack to more than such lists are")
    return memoryview(bytes(unpacked))
