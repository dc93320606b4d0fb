from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from df2s2_d2.images.errors import BrokenImageError
from df2s2_d2.serving.problems import RequestProblem
from df2s2_d2.serving.uploads import FORMATS, ImageUpload
from tests.inference.media.scenes import scene
from tests.serving.services import encoded

MOST = 1_000_000
PIXELS = scene((40, 30, 64, 54))


def png_of(width: int, height: int) -> bytes:
    """A PNG of few bytes that says it has so many pixels, and has none."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pieces = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + pieces


def refusal(data: bytes) -> tuple[int, str]:
    with pytest.raises(RequestProblem) as caught:
        ImageUpload.check(data, MOST)
    return caught.value.status_code, caught.value.detail


@pytest.mark.parametrize("file_format", FORMATS)
def test_formats_of_photographs_are_taken(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    upload = ImageUpload.check(encoded(PIXELS, file_format, **options), MOST)
    assert upload.num_pixels == 96 * 128
    difference = upload.pixels().astype(int) - PIXELS
    assert upload.pixels().shape == PIXELS.shape and np.abs(difference).mean() < 8


def test_photographs_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    upload = ImageUpload.check(encoded(PIXELS, exif=exif), MOST)
    np.testing.assert_array_equal(upload.pixels(), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("data", [b"", b"just a text\n" * 100, b"\xff" * 100, b"GIF", png_of(0, 5)])
def test_what_is_no_image_is_refused(data):
    assert refusal(data) == (
        415,
        "The file is no image: send one of JPEG, PNG, WEBP, AVIF, GIF, BMP, TIFF, JPEG2000.",
    )


def test_what_pillow_would_start_a_program_for_is_refused():
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "EPS")
    assert Image.open(io.BytesIO(file.getvalue())).format == "EPS"
    assert refusal(file.getvalue())[0] == 415


@pytest.mark.parametrize("size", [(1001, 1000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_what_unpacks_to_more_than_is_allowed_is_refused_unread(size):
    assert refusal(png_of(*size)) == (
        413,
        "The image has more than 1 million pixels: send a smaller one.",
    )


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_file_that_is_cut_short_is_told_as_broken(file_format):
    data = encoded(np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8), file_format)
    with pytest.raises((BrokenImageError, RequestProblem)) as caught:
        ImageUpload.check(data[: len(data) // 2], MOST).pixels()
    if isinstance(caught.value, BrokenImageError):
        assert "The image that was sent cannot be read (" in str(caught.value)
    else:
        assert caught.value.status_code in (415, 422)
