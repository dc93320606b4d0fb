from __future__ import annotations

import cv2
import numpy as np
import pytest

from df2s2_d2.pages.close_up import PANEL, Outline, choose_view, close_up, draw_view


@pytest.mark.parametrize(
    "box",
    [
        [10, 20, 8, 8],
        [390, 290, 9, 9],  # at the corner
        [0, 0, 400, 300],  # the whole image
        [100, 0, 4, 300],
        [380, 100, 60, 60],  # over the border
        [450, 100, 20, 20],  # outside
        [-90, -90, 30, 30],
        [50, 50, -20, -20],  # of negative size
    ],
)
def test_view_shows_the_box_with_margins_and_as_much_of_the_image_as_fits(box):
    box = np.array(box, np.float64)
    left, top, scale = choose_view(box, 400, 300)
    right, bottom = left + PANEL[0] * scale, top + PANEL[1] * scale
    low, high = np.minimum(box[:2], box[:2] + box[2:]), np.maximum(box[:2], box[:2] + box[2:])
    assert left <= low[0] and top <= low[1] and high[0] <= right and high[1] <= bottom
    assert scale >= 64 / PANEL[0] * 0.999
    is_inside = (low >= 0).all() and (high <= [400, 300]).all()
    if is_inside and scale < 400 / PANEL[0]:
        assert left >= 0 and top >= 0 and right <= 400 and bottom <= 300


def test_far_boxes_leave_the_image_visible():
    left, top, scale = choose_view(np.array([1e6, 0, 5, 5]), 400, 300)
    assert left <= 0 and top <= 0 and scale < 4 * 400 / PANEL[0]


def test_pixels_and_outlines_lie_where_they_are_in_the_image():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:40, 30:50] = (250, 0, 0)
    outline = Outline(np.array([[30, 20, 20, 20]], np.float64), (0, 250, 0))
    view = draw_view(image, (0, 0, 0.5), [outline], (160, 120))
    assert view[60, 80].tolist() == [250, 0, 0] and view[20, 20].tolist() == [0, 0, 0]
    ys, xs = np.nonzero(view[..., 1] > 200)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (60, 100, 40, 80)
    # Beyond the image there is grey.
    view = draw_view(image, (-10, 0, 1.0), [], (40, 40))
    assert view[5, 5].tolist() == [208] * 3 and view[5, 15].tolist() == [0] * 3


def test_dashed_outlines_have_gaps_and_far_corners_do_no_harm():
    image = np.zeros((100, 100, 3), np.uint8)
    boxes = np.array([[10, 10, 80, 80], [-1e7, 50, 2e7, 1e7]])
    solid = draw_view(image, (0, 0, 1.0), [Outline(boxes, (0, 250, 0))], (100, 100))
    dashed = draw_view(image, (0, 0, 1.0), [Outline(boxes, (0, 250, 0), True)], (100, 100))
    assert (solid[10, 12:88, 1] > 200).all()
    assert 0.3 < (dashed[10, 12:88, 1] > 200).mean() < 0.8


def test_file_is_a_jpeg_of_the_panels_size():
    content = close_up(np.full((30, 20, 3), 99, np.uint8), np.array([5.0, 5, 4, 4]), [])
    assert cv2.imdecode(np.frombuffer(content, np.uint8), 1).shape == (PANEL[1], PANEL[0], 3)
