from __future__ import annotations

import cv2
import numpy as np
import pytest

from df2s2_d2.evaluation.fddb import load_folds, read_image_headers, read_image_sizes
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
        ("image,width,height\na,3\n", "line 2: expected a width and a height"),
        ("image,width,height\na,3.5,4\n", "line 2: expected a width and a height"),
    ],
)
def test_malformed_tables_are_named_with_the_line(tmp_path, text, message):
    path = tmp_path / "sizes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"sizes\.csv, {message}"):
        read_image_sizes(path)


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (37, 300), (2000, 17)])
def test_sizes_from_heads_of_images(tmp_path, size, progressive):
    image = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    (tmp_path / "a").mkdir()
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    assert cv2.imwrite(str(tmp_path / "a/img_1.jpg"), image, flags)
    assert read_image_headers(tmp_path, ["a/img_1"]) == {"a/img_1": size}


def jpeg_of(tmp_path) -> bytes:
    cv2.imwrite(str(tmp_path / "i.jpg"), np.zeros((20, 30), np.uint8))
    return (tmp_path / "i.jpg").read_bytes()


def test_further_segments_and_padding_are_passed_over(tmp_path):
    data = jpeg_of(tmp_path)
    # A comment that looks like a frame header, and fill bytes before a marker.
    comment = b"\xff\xfe\x00\x0b\xff\xc0\x00\x11\x08\x00\x01\x00\x01"
    (tmp_path / "i.jpg").write_bytes(data[:2] + comment + b"\xff\xff" + data[2:])
    assert read_image_headers(tmp_path, ["i"]) == {"i": (30, 20)}


def test_what_is_no_jpeg_is_named(tmp_path):
    data = jpeg_of(tmp_path)
    frame = data.index(b"\xff\xc0")
    for broken in (b"", b"\xff\xd8", b"PNG", data[: frame + 3], data[: frame + 7], data[:2] * 9):
        (tmp_path / "i.jpg").write_bytes(broken)
        with pytest.raises(ValueError, match=r"i\.jpg is not a readable JPEG"):
            read_image_headers(tmp_path, ["i"])
    with pytest.raises(FileNotFoundError, match="absent.jpg"):
        read_image_headers(tmp_path, ["absent"])


@pytest.mark.real_data
def test_official_sizes_are_those_of_all_images(shared_data):
    folder = shared_data / "official/fddb"
    sizes = read_image_sizes(folder / "image_sizes.csv")
    folds = load_folds(folder / "FDDB-folds")
    assert sizes.keys() == {image for fold in folds.values() for image in fold}
