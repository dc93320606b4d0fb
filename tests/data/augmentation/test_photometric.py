from __future__ import annotations

import colorsys

import numpy as np
import pytest

from df2s2_d2.data.augmentation import PhotometricDistortion, PhotometricTransform


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)


def change(pixel: list[int], **amounts) -> list[int]:
    image = np.array([[pixel]], dtype=np.uint8)
    return PhotometricTransform("RGB", **amounts).apply_image(image)[0, 0].tolist()


def reference(pixel, brightness, contrast, saturation, hue, contrast_first) -> list[float]:
    """The same change of one RGB pixel by the standard library, in 0–1."""
    rgb = [min(max(value / 255 + brightness / 255, 0), 1) for value in pixel]
    if contrast_first:
        rgb = [min(value * contrast, 1) for value in rgb]
    h, s, v = colorsys.rgb_to_hsv(*rgb)
    rgb = colorsys.hsv_to_rgb((h + hue / 360) % 1, min(s * saturation, 1), v)
    if not contrast_first:
        rgb = [min(value * contrast, 1) for value in rgb]
    return [value * 255 for value in rgb]


def test_worked_values():
    assert change([250, 100, 0], brightness=10) == [255, 110, 10]
    assert change([250, 100, 5], brightness=-10) == [240, 90, 0]
    assert change([200, 100, 1], contrast=1.5) == [255, 150, 2]
    assert change([10, 20, 30], saturation=0.0) == [30, 30, 30]
    assert change([100, 150, 200], saturation=1.5) == [50, 125, 200]
    assert change([255, 0, 0], hue=120) == [0, 255, 0]
    assert change([255, 0, 0], hue=-120) == [0, 0, 255]


def test_order_of_contrast_and_saturation():
    # 200 × 1.5 is clamped before the saturation is halved, or its result is multiplied.
    amounts = {"contrast": 1.5, "saturation": 0.5}
    assert change([200, 101, 101], **amounts) == [255, 203, 203]
    assert change([200, 101, 101], **amounts, contrast_first=False) == [255, 226, 226]


@pytest.mark.parametrize("contrast_first", [True, False])
@pytest.mark.parametrize(
    "amounts",
    [
        {"brightness": 32, "contrast": 1.5, "saturation": 1.5, "hue": 18},
        {"brightness": -32, "contrast": 0.5, "saturation": 0.5, "hue": -18},
        {"brightness": 0, "contrast": 1.2, "saturation": 1.0, "hue": -7},
    ],
)
def test_agrees_with_the_standard_librarys_colours(image, amounts, contrast_first):
    transform = PhotometricTransform("RGB", contrast_first=contrast_first, **amounts)
    expected = [
        [reference(pixel, contrast_first=contrast_first, **amounts) for pixel in row]
        for row in image
    ]
    np.testing.assert_allclose(transform.apply_image(image), expected, atol=0.51)


def test_bgr_is_rgb_with_swapped_channels(image):
    amounts = {"brightness": 5, "contrast": 0.9, "saturation": 1.4, "hue": 15}
    # A view with negative strides, as detectron2 reads images.
    swapped = PhotometricTransform("BGR", **amounts).apply_image(image[..., ::-1])
    np.testing.assert_array_equal(
        swapped[..., ::-1], PhotometricTransform("RGB", **amounts).apply_image(image)
    )


def test_nothing_happens_when_every_toss_says_no(image):
    transform = PhotometricDistortion("BGR", prob=0.0).get_transform(image)
    np.testing.assert_array_equal(transform.apply_image(image), image)


def test_results_are_new_images_of_the_same_kind(image):
    np.random.seed(0)
    before = image.copy()
    distortion = PhotometricDistortion("BGR")
    for _ in range(20):
        result = distortion.get_transform(image).apply_image(image)
        assert result.dtype == np.uint8 and result.shape == image.shape
        result[:] = 0
    np.testing.assert_array_equal(image, before)

    bright = np.full((2, 2, 3), 250, dtype=np.float32)
    result = PhotometricTransform("BGR", brightness=32).apply_image(bright)
    assert result.dtype == np.float32 and (result == 255).all()


def test_coordinates_stay():
    coords = np.array([[1.5, 2.0]])
    assert PhotometricTransform("BGR", hue=3).apply_coords(coords) is coords


def test_amounts_are_drawn_from_their_ranges(image):
    np.random.seed(0)
    distortion = PhotometricDistortion("BGR")
    drawn = [vars(distortion.get_transform(image)) for _ in range(2000)]
    for name, low, high, neutral in (
        ("brightness", -32, 32, 0),
        ("contrast", 0.5, 1.5, 1),
        ("saturation", 0.5, 1.5, 1),
        ("hue", -18, 18, 0),
    ):
        values = np.array([transform[name] for transform in drawn])
        changed = values[values != neutral]
        # 1000 ± 22 of 2000 tosses; the mean of 1000 uniform draws is off by 1 % of their range.
        assert abs(len(changed) - 1000) < 5 * 22, name
        assert low <= changed.min() < low + 0.02 * (high - low), name
        assert high - 0.02 * (high - low) < changed.max() <= high, name
        assert abs(changed.mean() - (low + high) / 2) < 0.05 * (high - low), name
    assert abs(sum(transform["contrast_first"] for transform in drawn) - 1000) < 5 * 22


def test_other_image_formats_are_refused_when_built():
    with pytest.raises(ValueError, match="INPUT.FORMAT.*'L'"):
        PhotometricDistortion("L")
