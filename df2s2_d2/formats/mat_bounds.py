"""How much memory a ``.mat`` file takes to read, told from its tags before SciPy reads it.

A few packed bytes can state gigabytes: of zeros that unpack from them, of cells that an array is
said to have, or of cells nested so deep that the stack overflows. Layout: MATLAB's "MAT-File
Format", version 5, where an element is a tag (type and number of bytes) and its data, and an array
is an element of elements: flags, dimensions, name, and its content.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

# Bytes of all variables, unpacked. The official lists of WIDER FACE have less than ten million.
LARGEST_UNPACKED = 1 << 28

# Of cells in each other: those of events, which hold those of images, and one more to spare.
_MOST_LEVELS = 4

_HEADER_BYTES = 128
_ARRAY, _PACKED = 14, 15  # types of elements
_CELL = 1  # a class of arrays
_UNPACKED_AT_ONCE = 1 << 20


def has_bounded_arrays(path: Path) -> bool:
    """Whether what a file states of itself fits into bounded memory.

    Damaged files do: whoever reads them tells what is wrong.

    Raises:
        OSError: if the file cannot be read.
    """
    if path.stat().st_size > LARGEST_UNPACKED:
        return False
    data = path.read_bytes()
    order = ">" if data[_HEADER_BYTES - 2 : _HEADER_BYTES] == b"MI" else "<"
    budget = LARGEST_UNPACKED
    for kind, content in _elements(memoryview(data)[_HEADER_BYTES:], order, alignment=1):
        if kind == _PACKED:
            content = _unpack(content, budget + 1)
            budget -= len(content)
            if budget < 0:
                return False
            if not all(_is_bounded(*one, order, 1) for one in _elements(content, order)):
                return False
        elif not _is_bounded(kind, content, order, 1):
            return False
    return True


def _is_bounded(kind: int, content: memoryview, order: str, level: int) -> bool:
    """Whether an array, and all in it, has no more elements than bytes."""
    if kind != _ARRAY:
        return True
    parts = _elements(content, order)
    flags, dimensions = (next(parts, (0, memoryview(b"")))[1] for _ in range(2))
    sides = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions[: len(dimensions) // 4 * 4])
    if sides and math.prod(map(abs, sides)) > len(content):
        return False
    array_class = struct.unpack(f"{order}I", flags[:4])[0] & 0xFF if len(flags) >= 4 else 0
    if array_class != _CELL:
        return True
    return level < _MOST_LEVELS and all(_is_bounded(*one, order, level + 1) for one in parts)


def _elements(data: memoryview, order: str, alignment: int = 8) -> Iterator[tuple[int, memoryview]]:
    """Types and contents of the elements in a row, up to the first that is cut short."""
    position = 0
    while position + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}2I", data, position)
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, length, start, stop = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        else:
            start = position + 8
            stop = start + length + (-length % alignment)
        yield kind, data[start : start + length]
        position = stop


def _unpack(data: memoryview, most: int) -> memoryview:
    """What is packed, or its first bytes if there are more than ``most``."""
    unpacker, unpacked = zlib.decompressobj(), bytearray()
    while data and len(unpacked) < most:
        try:
            unpacked += unpacker.decompress(data, _UNPACKED_AT_ONCE)
        except zlib.error:  # which the reader tells of
            break
        data = unpacker.unconsumed_tail
    if not data:
        unpacked += unpacker.flush()  # at most the end of a repetition
    return memoryview(bytes(unpacked))
