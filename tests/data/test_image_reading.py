"""Image files of every kind, written by Pillow and OpenCV."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from detectron2.data import detection_utils
from PIL import Image

from df2s2_d2.data.image_reading import read_image

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (20, 30, 4), dtype=np.uint16)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def grey_as_colours(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=2)


# Ordinary images


@pytest.mark.parametrize("image_format", ["BGR", "RGB"])
@pytest.mark.parametrize(
    ("suffix", "modes"),
    [
        ("jpg", ["RGB", "L", "CMYK"]),
        ("png", ["RGB", "L", "P", "1"]),
        ("tif", ["RGB", "L", "P", "1", "CMYK"]),
        ("bmp", ["RGB", "L", "P", "1"]),
        ("gif", ["RGB", "L"]),
        ("webp", ["RGB"]),
    ],
)
def test_ordinary_images_are_as_detectron2_reads_them(tmp_path, suffix, modes, image_format):
    path = tmp_path / f"image.{suffix}"
    for mode in modes:
        Image.fromarray(COLOURS).convert(mode).save(path)
        image = read_image(path, image_format)
        assert image.dtype == np.uint8 and image.shape == COLOURS.shape
        expected = detection_utils.read_image(str(path), image_format)
        np.testing.assert_array_equal(image, expected, err_msg=mode)


def test_the_order_of_the_channels(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", "RGB"), COLOURS)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", "BGR"), COLOURS[:, :, ::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_photographs_are_turned_upright(tmp_path, orientation, mode):
    path = str(tmp_path / "photo.jpg")
    Image.fromarray(COLOURS).convert(mode).save(path, exif=exif(orientation))
    image = read_image(path, "RGB")
    assert image.shape == ((20, 30, 3) if orientation < 5 else (30, 20, 3))
    np.testing.assert_array_equal(image, detection_utils.read_image(path, "RGB"))


# More than 8 bits


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_images_are_scaled(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    cv2.imwrite(str(path), DEEP[:, :, 0])
    np.testing.assert_array_equal(read_image(path, "RGB"), grey_as_colours(DEEP[:, :, 0] >> 8))
    cv2.imwrite(str(path), DEEP[:, :, :3])
    np.testing.assert_array_equal(read_image(path, "BGR"), DEEP[:, :, :3] >> 8)


def test_16_bit_images_of_other_makes(tmp_path):
    """Big-endian, as 32-bit integers in Pillow, and turned."""
    grey = DEEP[:, :, 0]
    expected = grey_as_colours(grey >> 8)
    Image.fromarray(grey.astype(">u2")).save(tmp_path / "big_endian.tif")
    (tmp_path / "portable.pgm").write_bytes(b"P5 30 20 65535\n" + grey.astype(">u2").tobytes())
    assert Image.open(tmp_path / "portable.pgm").mode == "I"
    for name in ("big_endian.tif", "portable.pgm"):
        np.testing.assert_array_equal(read_image(tmp_path / name, "RGB"), expected)
    Image.fromarray(grey).save(tmp_path / "turned.png", exif=exif(6))
    turned = read_image(tmp_path / "turned.png", "RGB")
    np.testing.assert_array_equal(turned, np.rot90(expected, k=-1))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((4, 4), 0.5, np.float32), "pixels are floats; 8 or 16 bits are expected"),
        (np.full((4, 4), 70000, np.int32), "pixels have 32 bits; 8 or 16 bits are expected"),
        (np.full((4, 4), -1, np.int32), "pixels have 32 bits"),
    ],
)
def test_images_without_a_white_are_refused(tmp_path, pixels, words):
    Image.fromarray(pixels).save(tmp_path / "deep.tif")
    with pytest.raises(OSError, match=f"deep.tif cannot be read .*{words}"):
        read_image(tmp_path / "deep.tif", "RGB")


# Transparent images


def test_transparent_images_are_shown_on_white(tmp_path):
    opacity = np.full((20, 30, 1), 255, np.uint8)
    opacity[:10] = 0
    path = tmp_path / "cut_out.png"
    Image.fromarray(np.dstack((COLOURS, opacity))).save(path)
    image = read_image(path, "RGB")
    assert (image[:10] == 255).all()
    np.testing.assert_array_equal(image[10:], COLOURS[10:])
    Image.fromarray(np.dstack((COLOURS[:, :, :1], opacity))).convert("LA").save(path)
    image = read_image(path, "BGR")
    assert (image[:10] == 255).all()
    np.testing.assert_array_equal(image[10:], grey_as_colours(COLOURS[10:, :, 0]))


def test_half_transparent_pixels_are_half_white(tmp_path):
    Image.new("RGBA", (2, 2), (100, 0, 255, 51)).save(tmp_path / "veil.png")
    assert read_image(tmp_path / "veil.png", "RGB")[0, 0].tolist() == [224, 204, 255]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_one_transparent_colour_is_white(tmp_path, mode):
    image = Image.fromarray(np.array([[1, 2]], np.uint8), mode="L")
    if mode == "P":
        image = image.convert("P")
        image.putpalette([9, 9, 9, 50, 60, 70, 80, 90, 100])
    elif mode == "RGB":
        image = image.convert("RGB")
    colour = (1, 1, 1) if mode == "RGB" else 1
    image.save(tmp_path / "key.png", transparency=colour)
    pixels = read_image(tmp_path / "key.png", "RGB")
    second = [80, 90, 100] if mode == "P" else [2, 2, 2]
    assert pixels.tolist() == [[[255, 255, 255], second]]


def test_16_bit_transparent_colours_are_shown_on_white(tmp_path):
    pixels = DEEP.copy()
    pixels[:, :15, 3], pixels[:, 15:, 3] = 0, 65535
    cv2.imwrite(str(tmp_path / "deep.png"), pixels)
    image = read_image(tmp_path / "deep.png", "BGR")
    assert (image[:, :15] == 255).all()
    np.testing.assert_array_equal(image[:, 15:], pixels[:, 15:, :3] >> 8)


# Files that are no image


def test_unreadable_files_are_named_with_a_remedy(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    contents = {"half.png": whole[: len(whole) // 2], "text.jpg": b"no image", "empty.jpg": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OSError) as caught:
            read_image(tmp_path / name, "BGR")
        message = str(caught.value)
        assert message.startswith(f"The image {tmp_path / name} cannot be read (")
        assert message.endswith("restore the file, or leave it out.")
        assert "BufferedReader" not in message
    with pytest.raises(FileNotFoundError, match="absent.png does not exist"):
        read_image(tmp_path / "absent.png", "BGR")
    with pytest.raises(OSError, match=f"The image {tmp_path} cannot be read"):
        read_image(tmp_path, "BGR")


def test_large_images_are_read_in_silence_and_huge_ones_refused_with_a_remedy(tmp_path):
    """Pillow's limit is lowered; it warns above the limit, and refuses twice as much."""
    Image.new("L", (15, 10)).save(tmp_path / "large.png")
    Image.new("L", (15, 20)).save(tmp_path / "huge.png")
    code = f"""
from PIL import Image
from df2s2_d2.data.image_reading import read_image
Image.MAX_IMAGE_PIXELS = 100
print(read_image("{tmp_path}/large.png", "RGB").shape)
try:
    read_image("{tmp_path}/huge.png", "RGB")
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    shape, message = done.stdout.splitlines()
    assert shape == "(10, 15, 3)"
    assert "DecompressionBomb" not in done.stderr
    assert "huge.png is larger" in message and "PIL.Image.MAX_IMAGE_PIXELS" in message
