from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.inference.media.face_regions import crop_faces, face_regions


def test_margin_is_a_share_of_each_side():
    boxes = np.array([[20.0, 30, 40, 70]])
    assert face_regions(boxes, 0.25, (200, 100)).tolist() == [[15, 20, 45, 80]]


def test_parts_of_pixels_belong_to_the_face():
    assert face_regions(np.array([[1.9, 2.1, 5.2, 6.8]]), 0, (20, 20)).tolist() == [[1, 2, 6, 7]]


def test_regions_end_at_the_borders_and_none_is_outside():
    boxes = np.array([[-5.0, -5, 10, 10], [90, 40, 120, 80], [150, 10, 170, 20], [3, 3, 3, 3]])
    regions = face_regions(boxes, 0.1, (50, 100))
    assert regions.tolist() == [[0, 0, 12, 12], [87, 36, 100, 50]]


def test_no_faces_give_no_regions():
    assert face_regions(np.zeros((0, 4)), 0.3, (50, 100)).shape == (0, 4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_box_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="not finite"):
        face_regions(np.array([[0, 0, 10, value]]), 0.1, (50, 100))


def test_crops_are_the_regions_in_their_order():
    image = np.arange(60 * 80 * 3).reshape(60, 80, 3)
    boxes = np.array([[50.0, 40, 70, 60], [0, 0, 10, 20]])
    first, second = crop_faces(image, boxes, 0.5)
    np.testing.assert_array_equal(first, image[30:60, 40:80])
    np.testing.assert_array_equal(second, image[0:30, 0:15])
