from __future__ import annotations

import pytest
from PIL import Image

from df2s2_d2.formats.image_header import read_image_size, read_stored_size


def save_turned(path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(path, exif=exif)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_sizes_are_those_of_the_image(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (30, 20)).save(path)
    assert read_image_size(path) == read_stored_size(path) == (20, 30)


@pytest.mark.parametrize("orientation", range(10))
def test_sizes_are_upright_or_as_stored(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    save_turned(path, orientation)
    assert read_image_size(path) == ((30, 20) if 5 <= orientation <= 8 else (20, 30))
    assert read_stored_size(path) == (20, 30)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0"])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(OSError, match="a.jpg is no image that can be read"):
        read_image_size(path)
    with pytest.raises(FileNotFoundError, match="absent.jpg"):
        read_image_size(tmp_path / "absent.jpg")


def test_images_too_large_to_decode_are_named(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("1", (300, 200)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(OSError, match="a.png is no image that can be read"):
        read_image_size(path)
