from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from df2s2_d2.formats.mat_file import read_mat
from tests.evaluation.wider_face.ground_truth_files import cells

HEADER = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
CELL, DOUBLE = 1, 6


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<2I", kind, len(data)) + data + bytes(-len(data) % 8)


def array(array_class: int, sides: tuple[int, ...], content: bytes, name: bytes = b"") -> bytes:
    flags = element(6, struct.pack("<2I", array_class, 0))
    dimensions = element(5, struct.pack(f"<{len(sides)}i", *sides))
    return element(14, flags + dimensions + element(1, name) + content)


def numbers(count: int, sides: tuple[int, ...] | None = None) -> bytes:
    return array(DOUBLE, sides or (count, 1), element(9, bytes(8 * count)))


def nested(levels: int) -> bytes:
    content = numbers(1)
    for _ in range(levels):
        content = array(CELL, (1, 1), content)
    return content


def packed(content: bytes) -> bytes:
    data = zlib.compress(content, 9)
    return struct.pack("<2I", 15, len(data)) + data


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether this reader and SciPy's, which keeps texts as arrays of one, read the same."""
    if expected.dtype == object:
        pairs = zip(found.ravel(), expected.ravel(), strict=True)
        return found.shape == expected.shape and all(same(*pair) for pair in pairs)
    if expected.dtype.kind == "U":
        return str(found) == "".join(expected.ravel())
    return found.shape == expected.shape and bool((found == expected).all())


@pytest.mark.parametrize("do_compression", [False, True])
def test_reads_what_scipy_writes_and_reads(tmp_path, do_compression):
    kinds = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
    variables = {
        "numbers": np.arange(12.0).reshape(3, 4),
        "mixed": cells([cells([np.arange(6, dtype=kind).reshape(2, 3)]) for kind in kinds]),
        "empty": cells([np.zeros((0, 4)), "", cells([])]),
        "texts": cells(["0--Parade", "ü名", "a"]),
        "table": np.array([[cells(["a"]), 3], [np.eye(3), "b"]], dtype=object),
    }
    path = tmp_path / "a.mat"
    savemat(path, variables, do_compression=do_compression)
    found, expected = read_mat(path, variables), loadmat(path)
    assert found.keys() == variables.keys()
    assert all(same(array, expected[name]) for name, array in found.items())
    assert read_mat(path, ["texts", "absent"]).keys() == {"texts"}


@pytest.mark.real_data
def test_reads_the_official_files_as_scipy_does(shared_data):
    folder = shared_data / "official/wider_face/eval_tools/ground_truth"
    for path in folder.glob("*.mat"):
        expected = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
        found = read_mat(path, expected)
        assert len(found) >= 9 and all(same(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("write", [bytes, packed], ids=["plain", "packed"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (nested(4), "another kind of value"),
        (numbers(1, (1 << 30, 1)), "states the sides .*, more than it has bytes"),
        (numbers(1, (-1, 1)), "states the sides"),
        (numbers(2, (3, 1)), "has 2 numbers"),
        (array(CELL, (1 << 15, 1 << 15), numbers(1)), "more than it has bytes"),
        (array(CELL, (1, 1), array(4, (1, 1 << 30), element(4, b""))), "more than it has bytes"),
        (array(CELL, (2, 1), numbers(1)), "a cell is missing"),
        (array(DOUBLE, (1, 1), element(3, b"abcd")), "elements of type 3|has 2 numbers"),
        (array(4, (2, 2), element(4, bytes(8))), "several lines"),
        (array(5, (1, 1), b""), "another kind of value"),
        (element(14, b"abcd"), "lacks its flags or dimensions"),
        (struct.pack("<2I", 14, 0xFFFFFFFF), "cut short"),
    ],
)
def test_what_a_file_states_is_held_against_its_bytes(tmp_path, content, words, write):
    path = tmp_path / "a.mat"
    path.write_bytes(HEADER + write(content))
    with pytest.raises(ValueError, match=words):
        read_mat(path, [""])


def test_cells_lie_as_deep_as_lists_of_faces_need(tmp_path):
    (tmp_path / "a.mat").write_bytes(HEADER + nested(3))
    ((image,),) = read_mat(tmp_path / "a.mat", [""])[""].item()
    np.testing.assert_array_equal(image.item(), [[0]])


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("df2s2_d2.formats.mat_file._LARGEST_UNPACKED", 1 << 20)
    for content in (numbers(1 << 18), packed(numbers(1 << 18)), packed(numbers(1 << 16)) * 3):
        (tmp_path / "a.mat").write_bytes(HEADER + content)
        with pytest.raises(ValueError, match="larger than|unpack to more than"):
            read_mat(tmp_path / "a.mat", [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected MATLAB's format 5"),
        (b"MATLAB 7.3 is HDF5".ljust(128), "expected MATLAB's format 5"),
        (HEADER + struct.pack("<2I", 15, 9) + b"no zlib..", "cannot be unpacked"),
    ],
)
def test_other_files_are_told(tmp_path, content, words):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_mat(tmp_path / "a.mat", [""])
