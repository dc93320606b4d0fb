from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation import SquareWindowTransform

GREY = (10.0, 20.4, 29.6)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_window_inside_the_image_is_a_crop_and_a_resize(image):
    for x0, y0, side, size in ((0, 0, 40, 40), (20, 0, 40, 24), (13, 7, 20, 64)):
        crop = T.TransformList(
            [T.CropTransform(x0, y0, side, side), T.ResizeTransform(side, side, size, size)]
        )
        window = SquareWindowTransform(x0, y0, side, size, GREY)
        np.testing.assert_allclose(
            window.apply_box([3.0, 4, 50, 60]), crop.apply_box([3.0, 4, 50, 60])
        )
        # Up to rounding, and to neighbours of the window that the resize alone can see.
        inner = np.s_[4:-4, 4:-4]
        difference = window.apply_image(image)[inner].astype(int) - crop.apply_image(image)[inner]
        assert np.abs(difference).max() <= 1


def test_outside_the_image_is_the_pad_value(image):
    result = SquareWindowTransform(-8, -50, 100, 100, GREY).apply_image(image[..., ::-1])
    np.testing.assert_array_equal(result[50:90, 8:68], image[..., ::-1])
    outside = np.full((100, 100), True)
    outside[50:90, 8:68] = False
    assert (result[outside] == (10, 20, 30)).all()


def test_fractions_of_pixels_move_coordinates_exactly_and_content_with_them():
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[10:30, 20:40] = 200
    window = SquareWindowTransform(-2.3, 3.6, 30.7, 307, (0, 0, 0))
    (box,) = window.apply_box([20, 10, 40, 30])
    np.testing.assert_allclose(box, [223, 64, 423, 264])
    ys, xs = np.nonzero(window.apply_image(image)[..., 0] > 100)
    shown = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    np.testing.assert_allclose(shown, [223, 64, 307, 264], atol=1)


@pytest.mark.parametrize("origin", [(-1e6, -1e6), (30.0, -1e9), (100.0, 0.0)])
def test_an_image_that_does_not_show_leaves_nothing_but_padding(image, origin):
    side = 2e6 if origin[0] < 0 else 50.0
    result = SquareWindowTransform(*origin, side, 64, GREY).apply_image(image)
    assert (result == (10, 20, 30)).all()


def test_labels_are_not_mixed():
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[:, 30:] = 7
    result = SquareWindowTransform(10, 10, 45, 64, GREY).apply_segmentation(labels)
    assert set(np.unique(result)) == {0, 7} and (result[-10:] == 0).all()
