from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from df2s2_d2.inference.image_input import as_image

IMAGE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
GREY = IMAGE[:, :, 0]
TENSOR = torch.from_numpy(IMAGE).permute(2, 0, 1)


def assert_is(image, expected: np.ndarray) -> None:
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


def test_arrays_and_tensors_of_every_shape():
    grey = np.stack([GREY] * 3, axis=2)
    for image in (GREY, GREY[:, :, None], torch.from_numpy(GREY)[None]):
        assert_is(as_image(image, "BGR", "BGR"), grey)
    for image in (IMAGE, TENSOR, TENSOR.clone().requires_grad_(False)):
        assert_is(as_image(image, "BGR", "BGR"), IMAGE)


def test_channels_get_the_wanted_order(tmp_path):
    for image in (IMAGE, TENSOR):
        assert_is(as_image(image, "BGR", "RGB"), IMAGE[:, :, ::-1])
        assert_is(as_image(image, "RGB", "RGB"), IMAGE)
    # A file knows the order of its own channels.
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    for array_format in ("BGR", "RGB"):
        assert_is(as_image(tmp_path / "a.png", array_format, "RGB"), IMAGE)
        assert_is(as_image(str(tmp_path / "a.png"), array_format, "BGR"), IMAGE[:, :, ::-1])


def test_opacity_is_last_in_either_order():
    opacity = np.full((4, 6, 1), 255, np.uint8)
    opacity[0] = 0
    expected = IMAGE.copy()
    expected[0] = 255
    image = np.dstack((IMAGE, opacity))
    assert_is(as_image(image, "BGR", "BGR"), expected)
    assert_is(as_image(image, "BGR", "RGB"), expected[:, :, ::-1])
    assert_is(as_image(image[:, ::-1], "RGB", "RGB"), expected[:, ::-1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.int64])
def test_numbers_of_any_type_are_pixels_from_0_to_255(dtype):
    assert_is(as_image(IMAGE.astype(dtype), "BGR", "BGR"), IMAGE)
    assert_is(as_image(torch.from_numpy(IMAGE.astype(dtype)).permute(2, 0, 1), "RGB", "RGB"), IMAGE)


def test_floats_are_rounded_and_black_is_black():
    image = np.array([[0.4, 99.6, 255.0]])
    assert as_image(image, "BGR", "BGR")[0, :, 0].tolist() == [0, 100, 255]
    assert not as_image(np.zeros((2, 2)), "BGR", "BGR").any()
    half = torch.tensor([[[128.0, 3.0]]], dtype=torch.bfloat16, requires_grad=True)
    assert as_image(half, "BGR", "BGR")[0, :, 1].tolist() == [128, 3]


def test_16_bits_are_scaled():
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for image in (deep, torch.from_numpy(deep)[None]):
        assert as_image(image, "BGR", "BGR")[0, :, 2].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (IMAGE / 255.0, "0 to 255.*if they go from 0 to 1, multiply them by 255"),
        (IMAGE > 9, "found bool"),
        (GREY - 300.0, "expected pixels from 0 to 255, found -"),
        (IMAGE.astype(np.int64) * 9, "expected pixels from 0 to 255"),
        (np.full((2, 2), np.nan), "found nan to nan"),
        (np.where(GREY > 9, np.inf, 5.0), "found 5 to inf"),
        (np.full((2, 2), "a"), "expected pixels from 0 to 255"),
        (IMAGE[None], r"array of shape \(H, W\).*\(H, W, 4\), found \(1, 4, 6, 3\)"),
        (np.zeros((4, 6, 2), np.uint8), r"found \(4, 6, 2\)"),
        (np.zeros(4, np.uint8), r"found \(4,\)"),
        (np.zeros((0, 6, 3), np.uint8), r"at least one pixel, found shape \(0, 6, 3\)"),
        (torch.zeros(3, 4, 0), "at least one pixel"),
        (torch.zeros(4, 6, 3), r"tensor of shape \(3, H, W\) or \(1, H, W\), found \(4, 6, 3\)"),
        (torch.zeros(6, 3), "tensor of shape"),
        (None, "expected a path, encoded bytes, a PIL image, .* or a torch tensor, found NoneType"),
        ([1, 2], "found list"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is_expected(image, words):
    with pytest.raises(ValueError, match=words):
        as_image(image, "BGR", "BGR")
