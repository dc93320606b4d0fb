from __future__ import annotations

import pytest

from df2s2_d2.formats.image_size_table import read_image_sizes
from tests.formats.fddb_files import save_image_sizes


def test_sizes_from_a_table(tmp_path):
    path = save_image_sizes(tmp_path / "s.csv", {"a/1": (450, 431), "a/2.jpg": (3, 4)})
    assert read_image_sizes(path) == {"a/1": (450, 431), "a/2": (3, 4)}
    path.write_bytes(b"\xef\xbb\xbfheight,note,image,width\r\n7,x,a,5\r\n")
    assert read_image_sizes(path) == {"a": (5, 7)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the columns image,width,height"),
        ("a/1,3,4\n", "line 1: expected the columns"),
        ("image,width,height\na,3,4\nb,0,4\n", "line 3: expected a width and a height.*'b'.*'0,4'"),
        # Python 3.10 says so of a byte that later ones take for text.
        ("\0", "line [01]: expected"),
        ("image,width,height\na\0,3,\n", "line [12]: expected"),
        ("image,width,height\na,3\n", "line 2: expected a width and a height"),
        ("image,width,height\na,3.5,4\n", "line 2: expected a width and a height"),
    ],
)
def test_malformed_tables_are_named_with_the_line(tmp_path, text, message):
    path = tmp_path / "sizes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"sizes\.csv, {message}"):
        read_image_sizes(path)
