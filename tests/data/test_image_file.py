"""Image files of which a part is read, beside the same part of the whole image."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.utils.file_io import PathManager
from PIL import Image

from df2s2_d2.data.errors import BrokenImageError, ImageError, MissingImageError
from df2s2_d2.data.image_file import ImageFile
from df2s2_d2.data.image_reading import read_image

HEIGHT, WIDTH = 30, 44
COLOURS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise of every scale, the stronger the coarser, as in natural images."""
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 128, dtype=np.float32)
    for octave in range(1, 9):
        cells = (max(1, height >> octave), max(1, width >> octave), 3)
        noise = random.standard_normal(cells).astype(np.float32)
        pixels += 6 * octave * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return pixels.clip(0, 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, orientation: int = 1, mode: str = "RGB") -> str:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).convert(mode).save(path, exif=exif, quality=92)
    return str(path)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first.astype(int) - second)


# Windows as they are


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("suffix", "mode"), [("jpg", "RGB"), ("jpg", "L"), ("png", "RGB")])
def test_windows_are_parts_of_the_upright_image(tmp_path, orientation, suffix, mode):
    path = save(tmp_path / f"image.{suffix}", COLOURS, orientation, mode)
    for image_format in ("RGB", "BGR"):
        whole = read_image(path, image_format)
        file = ImageFile(path, image_format)
        assert file.size == whole.shape[:2]
        assert file.size == ((HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT))
        window = file.read_window((3, 5, 20, 29), (24, 17))
        np.testing.assert_array_equal(window, whole[5:29, 3:20])
        assert window.flags.c_contiguous and window.flags.writeable
        height, width = file.size
        np.testing.assert_array_equal(file.read_window((0, 0, width, height), file.size), whole)


def test_other_kinds_of_images_are_read_as_by_read_image(tmp_path):
    random = np.random.default_rng(1)
    deep = random.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    opacity = random.integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8)
    Image.fromarray(np.dstack((COLOURS, opacity))).save(tmp_path / "cut_out.png")
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "print.jpg")
    Image.fromarray(COLOURS).convert("P").save(tmp_path / "palette.gif")
    for path in sorted(tmp_path.iterdir()):
        window = ImageFile(path, "BGR").read_window((1, 2, 40, 30), (28, 39))
        np.testing.assert_array_equal(window, read_image(path, "BGR")[2:30, 1:40], path.name)


@pytest.mark.parametrize("size", [(60, 70), (25, 30), (60, 20), (10, 90), (1, 1)])
def test_resizing_is_pillows_up_to_rounding(tmp_path, size):
    path = save(tmp_path / "image.png", COLOURS)
    box = (4, 3, 40, 29)
    expected = Image.fromarray(COLOURS).crop(box).resize(size[::-1], Image.Resampling.BILINEAR)
    window = ImageFile(path, "RGB").read_window(box, size)
    assert window.shape == (*size, 3) and difference(window, np.asarray(expected)).max() <= 1


def test_fractions_of_pixels_are_exact(tmp_path):
    path = save(tmp_path / "image.png", COLOURS)
    box = (4.3, 3.9, 30.25, 20.5)
    expected = Image.fromarray(COLOURS).resize((50, 40), Image.Resampling.BILINEAR, box=box)
    window = ImageFile(path, "RGB").read_window(box, (40, 50))
    np.testing.assert_array_equal(window, np.asarray(expected))


# Decoding at a reduced size


def test_reduction_never_goes_below_the_size_of_the_result(tmp_path):
    path = save(tmp_path / "a.jpg", photograph(203, 320))
    file = ImageFile(path, "RGB")
    for window, result, expected in (
        (200, 101, 1),
        (200, 100, 2),
        (200, 51, 2),
        (200, 50, 4),
        (200, 26, 4),
        (200, 25, 8),
        (200, 1, 8),
        (100, 101, 1),
    ):
        assert file.reduction((3, 2, 3 + window, 2 + window), (result, result)) == expected
    # The side that shrinks least decides.
    assert file.reduction((0, 0, 200, 200), (25, 101)) == 1
    assert file.decode(4).size == (80, 51)
    assert file.decode(1).size == (320, 203)

    whole = ImageFile(path, "RGB", reduced_decoding=False)
    assert whole.reduction((0, 0, 200, 200), (10, 10)) == 1
    lossless = ImageFile(save(tmp_path / "a.png", COLOURS), "RGB")
    assert lossless.reduction((0, 0, 30, 30), (3, 3)) == 1


def check_tolerance(paths: list[str], side: int) -> None:
    """Windows of a side at every reduction, where it saves most: decoded to the result's size."""
    for reduction in (2, 4, 8):
        size = (side // reduction, side // reduction)
        means = []
        for path in paths:
            reduced, whole = (ImageFile(path, "RGB", reduce) for reduce in (True, False))
            height, width = whole.size
            left, top = (width - side) // 3, (height - side) // 2
            box = (left, top, left + side, top + side)
            assert reduced.reduction(box, size) == reduction
            pixels = reduced.read_window(box, size), whole.read_window(box, size)
            means.append(difference(*pixels).mean())
        assert 0 < max(means) < 10 and np.mean(means) < 3


def test_reduced_decoding_keeps_its_tolerance(tmp_path):
    paths = [save(tmp_path / f"{seed}.jpg", photograph(507, 650, seed)) for seed in range(2)]
    check_tolerance(paths, 480)


def test_reduced_decoding_keeps_its_tolerance_on_photographs(shared_data):
    files = sorted((shared_data / "open").rglob("*.jpg"))[::40]
    large = [str(path) for path in files if min(ImageFile(path, "RGB").size) >= 520]
    assert len(large) >= 8
    check_tolerance(large[:12], 512)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(256, 320), (253, 317)])
def test_reduced_windows_lie_where_they_lie_in_the_whole_image(tmp_path, size, orientation):
    """The centre of gravity of a soft spot; a pixel of the image is a quarter of a result's."""
    ys, xs = np.mgrid[: size[0], : size[1]]
    spot = 250 * np.exp(-((xs - 140) ** 2 + (ys - 110) ** 2) / (2 * 20**2))
    path = save(tmp_path / "spot.jpg", spot.astype(np.uint8), orientation, "L")
    reduced, whole = (ImageFile(path, "RGB", reduce) for reduce in (True, False))
    box = (17, 5, 241, 229)
    divides = size == (256, 320)
    assert reduced.reduction(box, (56, 56)) == (4 if divides or orientation == 1 else 1)
    centres = []
    for file in (reduced, whole):
        weights = file.read_window(box, (56, 56))[..., 0] / 255.0
        centres.append((np.mgrid[:56, :56] * weights).sum(axis=(1, 2)) / weights.sum())
    np.testing.assert_allclose(*centres, atol=0.05)


# Files that are no image


def test_what_is_broken_is_told_by_name_and_apart_from_what_the_system_refuses(
    tmp_path, monkeypatch
):
    path = Path(save(tmp_path / "photo.jpg", COLOURS))
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    cut = ImageFile(path, "RGB")  # The header is whole.
    assert cut.size == (HEIGHT, WIDTH)
    with pytest.raises(BrokenImageError, match=r"photo\.jpg cannot be read .*truncated"):
        cut.read_window((0, 0, 5, 5), (5, 5))
    for content in (b"", b"no image", whole[:40]):
        path.write_bytes(content)
        with pytest.raises(BrokenImageError, match=r"photo\.jpg cannot be read"):
            ImageFile(path, "RGB")
    with pytest.raises(MissingImageError, match=r"absent\.jpg does not exist"):
        ImageFile(tmp_path / "absent.jpg", "RGB")

    def refuse(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(PathManager, "open", refuse)
    for read in (lambda: ImageFile(path, "RGB"), lambda: read_image(path, "RGB")):
        with pytest.raises(ImageError, match=r"photo\.jpg cannot be read .*Too many") as caught:
            read()
        assert not isinstance(caught.value, BrokenImageError)
