from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.inference.media.image_writing import write_image
from tests.inference.media.scenes import read_image, scene


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".jpg", ".JPEG", ".webp"])
def test_image_is_written_as_its_suffix_says(tmp_path, suffix):
    image = scene((16, 16, 64, 64))
    path = tmp_path / f"new/folder/a{suffix}"
    write_image(path, image)
    is_exact = suffix in (".png", ".bmp", ".tif", ".tiff")
    difference = np.abs(read_image(path).astype(int) - image)
    assert difference.max() == 0 if is_exact else difference.mean() < 2
    if is_exact:
        assert path.read_bytes()[:2] in (b"\x89P", b"BM", b"II", b"MM")


def test_jpeg_is_of_high_quality(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 1)).repeat(3, 2).astype(np.uint8)
    write_image(tmp_path / "a.jpg", noise)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - noise).mean() < 4


def test_size_that_the_format_lacks_is_one_sentence(tmp_path):
    with pytest.raises(OSError, match=r"a\.jpg cannot hold an image of 70000 x 1 pixels") as caught:
        write_image(tmp_path / "a.jpg", np.zeros((1, 70000, 3), np.uint8))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.jpg").exists()


def test_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match=str(tmp_path / "a")):
        write_image(tmp_path / "a/b.png", scene())


def test_a_link_is_replaced_not_what_it_leads_to(tmp_path):
    (tmp_path / "original.png").write_bytes(b"kept")
    (tmp_path / "a.png").symlink_to("original.png")
    write_image(tmp_path / "a.png", scene())
    assert (tmp_path / "original.png").read_bytes() == b"kept"
    assert not (tmp_path / "a.png").is_symlink()
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), scene())
