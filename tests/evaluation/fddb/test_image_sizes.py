from __future__ import annotations

import cv2
import numpy as np
import pytest

from df2s2_d2.evaluation.fddb import load_folds, read_image_headers, read_image_sizes


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


def test_what_is_no_image_is_named(tmp_path):
    data = jpeg_of(tmp_path)
    frame = data.index(b"\xff\xc0")
    for broken in (b"", b"\xff\xd8", b"PNG", data[: frame + 3], data[: frame + 7], data[:2] * 9):
        (tmp_path / "i.jpg").write_bytes(broken)
        with pytest.raises(
            ValueError, match=r"i\.jpg is no image that can be read .*fetch it again"
        ):
            read_image_headers(tmp_path, ["i"])
    with pytest.raises(FileNotFoundError, match="absent.jpg"):
        read_image_headers(tmp_path, ["absent"])


@pytest.mark.real_data
def test_official_sizes_are_those_of_all_images(shared_data):
    folder = shared_data / "official/fddb"
    sizes = read_image_sizes(folder / "image_sizes.csv")
    folds = load_folds(folder / "FDDB-folds")
    assert sizes.keys() == {image for fold in folds.values() for image in fold}
