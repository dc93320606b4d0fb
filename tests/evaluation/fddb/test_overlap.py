from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from df2s2_d2.evaluation.fddb.overlap import paint_ellipse, region_overlaps
from tests.evaluation.fddb.reference import overlap, paint_whole

SIZE = (61, 47)


def random_ellipses(rng: np.random.Generator, number: int) -> np.ndarray:
    """Inside the image, over its borders and beyond them; major radii as well as minor first."""
    low, high = [0, 0, -4, -30, -25], [40, 30, 4, 90, 70]
    return rng.uniform(low, high, size=(number, 5))


def test_window_holds_the_pixels_of_the_whole_image():
    rng = np.random.default_rng(0)
    touched = 0
    for ellipse in random_ellipses(rng, 400):
        painted = paint_ellipse(ellipse, SIZE)
        whole = np.zeros(SIZE[::-1], np.uint8)
        height, width = painted.mask.shape
        window = whole[painted.top : painted.top + height, painted.left : painted.left + width]
        window[:] = painted.mask
        np.testing.assert_array_equal(whole, paint_whole(ellipse, SIZE))
        assert painted.area == whole.sum()
        touched += painted.area > 0
    assert 200 < touched < 400


@pytest.mark.parametrize("kind", ["boxes", "ellipses"])
def test_equals_painting_whole_masks(kind):
    rng = np.random.default_rng(1)
    ellipses = random_ellipses(rng, 25)
    if kind == "boxes":
        # Halves are rounded to even, sides are zero and negative, and corners lie outside.
        regions = rng.integers([-40, -40, -8, -8], [110, 90, 120, 120], size=(60, 4)) / 2
    else:
        regions = random_ellipses(rng, 60)
        regions[:3, 0] = -5
    expected = [[overlap(region, face, SIZE) for face in ellipses] for region in regions]
    result = region_overlaps(regions, ellipses, SIZE)
    np.testing.assert_array_equal(result, expected)
    assert (result > 0).sum() > 80 and result.max() > 0.5


def test_a_case_worked_out_by_hand():
    # Radii below 1 leave the pixel at the centre, rounded to (10, 20).
    dot = np.array([[0.9, 0.9, 0.0, 10.4, 19.6]])
    boxes = np.array([[10.0, 20, 1, 1], [10, 20, 0, 0], [11, 20, 5, 5], [9.4, 19.4, 0.7, 1.2]])
    # 2 x 2 pixels, the dot itself, beside it, and x 9-10, y 19-21.
    np.testing.assert_allclose(region_overlaps(boxes, dot, SIZE)[:, 0], [1 / 4, 1, 0, 1 / 6])


def test_regions_are_cut_off_at_the_border():
    ellipse = np.array([[20.0, 20, 0, 0, 0]])
    box = np.array([[-20.0, -20, 40, 40]])
    quarter = cv2.ellipse(np.zeros((21, 21), np.uint8), (0, 0), (20, 20), 0, 0, 360, 1, -1).sum()
    assert region_overlaps(box, ellipse, SIZE)[0, 0] == quarter / 21**2
    assert region_overlaps(box - 100, ellipse, SIZE)[0, 0] == 0
    assert region_overlaps(box, ellipse - [0, 0, 0, 100, 0], SIZE)[0, 0] == 0


def test_far_and_huge_regions_are_no_fault():
    ellipse = np.array([[10.0, 10, math.pi / 3, 30, 20]])
    far = np.array([[1e300, 0, 1, 1], [-1e308, -1e308, 1e308, 1e308], [-1e9, -1e9, 3e9, 3e9]])
    area = paint_whole(ellipse[0], SIZE).sum()
    expected = [0, 0, area / (SIZE[0] * SIZE[1])]
    np.testing.assert_array_equal(region_overlaps(far, ellipse, SIZE)[:, 0], expected)
    far = np.array([[10, 10, 1e300, 1e300, 20], [10, 10, 0, -1e300, 1e20], [1e9, 1e9, 0, 30, 20]])
    np.testing.assert_array_equal(region_overlaps(far, ellipse, SIZE)[:, 0], expected)


def test_nothing_on_either_side():
    ellipse = np.array([[10.0, 10, 0, 30, 20]])
    assert region_overlaps(np.zeros((0, 4)), ellipse, SIZE).shape == (0, 1)
    assert region_overlaps(np.zeros((0, 5)), ellipse, SIZE).shape == (0, 1)
    assert region_overlaps(ellipse[:, :4], ellipse[:0], SIZE).shape == (1, 0)
