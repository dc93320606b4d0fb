"""Images of Pillow's modes as 8-bit colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from df2s2_d2.images.decoding import as_pixels

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_shows_what_pillow_shows(mode):
    first = {"La": "LA", "PA": "P"}.get(mode, "RGB")
    image = Image.fromarray(COLOURS).convert(first)
    image = image.convert(mode) if mode != first else image
    shown = image.convert("LA") if mode == "La" else image
    pixels = as_pixels(image, "RGB")
    assert image.mode == mode and pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(shown.convert("RGB")))


def test_opacity_that_is_multiplied_in_is_shown_on_white():
    grey = Image.merge("LA", [Image.new("L", (1, 1), 100), Image.new("L", (1, 1), 51)])
    veil = Image.new("RGBA", (1, 1), (100, 0, 255, 51))
    # 51 of 255 is a fifth: of 100 there is 20, and 204 of white.
    assert as_pixels(grey.convert("La"), "RGB").tolist() == [[[224] * 3]]
    assert as_pixels(veil.convert("RGBa"), "RGB")[0, 0, :2].tolist() == [224, 204]


def test_lab_colours_are_converted():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(COLOURS), srgb, lab, outputMode="LAB")
    difference = as_pixels(image, "RGB").astype(int) - COLOURS
    assert np.abs(difference).mean() < 3 and as_pixels(image, "BGR").shape == (5, 7, 3)


def test_16_bit_modes_are_scaled():
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    for image in (Image.fromarray(deep), Image.fromarray(deep.astype(np.int32))):
        assert as_pixels(image, "RGB")[0, :, 0].tolist() == [0, 0, 1, 255]
