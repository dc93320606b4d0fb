from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from df2s2_d2.data.errors import ImageError
from df2s2_d2.data.image_file import ImageFile
from df2s2_d2.data.image_reading import read_image
from df2s2_d2.evaluation.fddb import read_image_headers
from tests.fuzzing.cases import mutated, noise
from tests.fuzzing.fuzzing import ends_well, fuzz

# Pillow warns of damaged tags that it passes over.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")

MOST_PIXELS = 2 * (1 << 28) // 3  # of Pillow's own limit


def encoded(image: Image.Image, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def noisy(mode: str, size: tuple[int, int] = (23, 17)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    if mode == "I;16":
        return Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(pixels[:, :, 0].astype(np.float32))
    return Image.fromarray(pixels, "RGBA").convert(mode)


def png_bomb(width: int, height: int) -> bytes:
    """The head of a picture of billions of pixels, and packed zeros behind it."""
    chunks = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1 << 20))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


EXIF = Image.Exif()
EXIF[0x0112] = 6
SEEDS = (
    *(encoded(noisy(mode), "JPEG") for mode in ("RGB", "L", "CMYK")),
    encoded(noisy("RGB"), "JPEG", exif=EXIF, progressive=True),
    *(encoded(noisy(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(encoded(noisy(mode), "TIFF") for mode in ("RGB", "CMYK", "I;16", "F", "LAB")),
    *(encoded(noisy(mode), "WEBP") for mode in ("RGB", "RGBA")),
    *(encoded(noisy(mode), "BMP") for mode in ("1", "P", "RGB")),
    *(
        encoded(noisy("P"), kind, save_all=True, append_images=[noisy("P")])
        for kind in ("GIF", "PNG")
    ),
    encoded(noisy("RGB"), "PPM"),
    encoded(noisy("RGB", (1, 1)), "PNG"),
    encoded(noisy("L", (20_000, 3)), "PNG"),
    encoded(noisy("L", (3, 20_000)), "JPEG"),
    png_bomb(60_000, 60_000),
    png_bomb(2**31 - 1, 1),
)
cases = mutated(*SEEDS, tokens=(b"\xff\xd8", b"\xff\xc0", b"IHDR", b"\0\0\xff\xff")) | noise(
    *(seed[:20] for seed in SEEDS)
)
files = st.tuples(cases, st.sampled_from(("jpg", "png", "gif", "webp", "tif", "bmp", "txt")))


def check_pixels(image: np.ndarray | None) -> None:
    if image is not None:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert 0 < image.size <= 3 * MOST_PIXELS


@fuzz(files, short=150)
def test_images(folder, case):
    content, ending = case
    path = folder / f"a.{ending}"
    path.write_bytes(content)
    check_pixels(ends_well(lambda: read_image(path, "BGR"), str(path)))


@fuzz(files, short=80)
def test_windows_of_images(folder, case):
    content, ending = case
    path = folder / f"a.{ending}"
    path.write_bytes(content)

    def read() -> np.ndarray:
        image = ImageFile(path, "RGB")
        height, width = image.size
        return image.read_window((width / 4, 0, width, height), (8, 6))

    check_pixels(ends_well(read, str(path)))


@fuzz(mutated(*SEEDS[:4], tokens=(b"\xff\xd8", b"\xff\xc0", b"\xff\xff")) | noise(SEEDS[0][:30]))
def test_heads_of_jpeg_files(folder, case):
    path = folder / "a.jpg"
    path.write_bytes(case)
    sizes = ends_well(lambda: read_image_headers(folder, ["a"]), str(path))
    assert sizes is None or min(sizes["a"]) > 0


def test_the_seeds_are_images(folder):
    """Else the cases would be variants of nothing."""
    unreadable = []
    for number, seed in enumerate(SEEDS):
        (folder / "a").write_bytes(seed)
        try:
            check_pixels(read_image(folder / "a", "RGB"))
        except ImageError:
            unreadable.append(number)
    # The picture of floats, and both bombs.
    assert len(unreadable) == 3
