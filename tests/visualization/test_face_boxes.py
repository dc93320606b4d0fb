from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from df2s2_d2.visualization.face_boxes import FACE_COLOR, draw_detections


def detections(boxes: list, scores: list, size: tuple[int, int]) -> Instances:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Instances(size, pred_boxes=Boxes(boxes), scores=torch.tensor(scores))


def grey_image(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 40, np.uint8)


def changed_box(picture: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero((picture != 40).any(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_opacity_of_a_box_is_its_score():
    boxes = [[10, 30, 90, 90], [110, 30, 190, 90], [210, 30, 290, 90]]
    scores = [1.0, 0.5, 0.1]
    image = grey_image(100, 300)
    picture = draw_detections(image, detections(boxes, scores, (100, 300))).astype(float)
    assert picture.shape == image.shape
    assert (image == 40).all()
    # The strongest green along the middle of each box's left edge, between grey and full colour.
    edges = [picture[50:70, x - 4 : x + 5, 1].max(axis=1).mean() for x in (10, 110, 210)]
    opacity = (np.array(edges) - 40) / (255 * FACE_COLOR[1] - 40)
    np.testing.assert_allclose(opacity, scores, atol=0.01)


@pytest.mark.parametrize("side", [6, 20, 100, 800])
def test_lines_lie_around_the_face_and_are_thin(side):
    size = side + 200
    box = [100, 100, 100 + side, 100 + side]
    picture = draw_detections(grey_image(size, size), detections([box], [0.9], (size, size)))
    inside = picture[100 : 100 + side, 100 : 100 + side]
    assert (inside == 40).all()
    left, _, right, bottom = changed_box(picture)
    assert (right, bottom) == (200 + side - left, 200 + side - left)
    assert 1 <= 100 - left <= max(1, 0.1 * side)


def test_large_images_have_thicker_lines():
    widths = []
    for size in (400, 4000):
        box = [size // 4, size // 4, size // 2, size // 2]
        picture = draw_detections(grey_image(size, size), detections([box], [1.0], (size, size)))
        widths.append(size // 4 - changed_box(picture)[0])
    assert widths[1] >= 4 * widths[0]


def test_score_is_written_on_boxes_wide_enough_for_it():
    boxes = [[20, 50, 36, 90], [120, 50, 220, 90]]
    picture = draw_detections(grey_image(100, 300), detections(boxes, [0.7, 0.7], (100, 300)))
    above = picture[:46]
    assert (above[:, :110] == 40).all()
    label = above[:, 110:]
    is_black = (label < 30).all(axis=2)
    assert 10 < is_black.sum() < 0.5 * (label != 40).any(axis=2).sum()


def test_label_at_the_top_of_the_image_is_seen():
    box = [10, -5, 90, 90]
    picture = draw_detections(grey_image(100, 100), detections([box], [1.0], (100, 100)))
    assert (picture[:10, 9:29] != 40).any(axis=2).mean() > 0.5


def test_boxes_across_the_borders_are_clipped():
    boxes = [[-20, -20, 30, 30], [80, 80, 130, 130], [-10, -10, 110, 110]]
    picture = draw_detections(grey_image(100, 100), detections(boxes, [0.9] * 3, (100, 100)))
    assert picture.shape == (100, 100, 3)
    assert (picture[29:32, :20] != 40).any()


def test_the_most_certain_face_is_on_top():
    box = [20, 30, 80, 80]
    for scores in ([1.0, 0.2], [0.2, 1.0]):
        picture = draw_detections(grey_image(100, 100), detections([box, box], scores, (100, 100)))
        np.testing.assert_allclose(picture[50, 19], 255 * np.array(FACE_COLOR), atol=1)


def test_annotated_faces_are_drawn_beneath_in_another_colour():
    nothing = detections([], [], (100, 100))
    faces = np.array([[20.0, 20, 80, 80]])
    picture = draw_detections(grey_image(100, 100), nothing, faces).astype(int)
    red = picture[..., 0] > picture[..., 1] + 60
    rows, columns = np.nonzero(red)
    box = columns.min(), rows.min(), columns.max(), rows.max()
    np.testing.assert_allclose(box, [20, 20, 80, 80], atol=3)
    both = draw_detections(
        grey_image(100, 100), detections([[20, 20, 80, 80]], [1.0], (100, 100)), faces
    )
    assert not (both[..., 0].astype(int) > both[..., 1].astype(int) + 60).any()


def test_the_number_of_a_track_is_written_in_place_of_the_score():
    box, size = [20, 50, 120, 90], (100, 140)
    pictures = []
    for scores, track_ids in (([0.9], None), ([0.9], [12]), ([0.9], [13]), ([0.9], [12])):
        found = detections([box], scores, size)
        if track_ids is not None:
            found.track_ids = torch.tensor(track_ids)
        pictures.append(draw_detections(grey_image(*size), found))
    assert (pictures[0] != pictures[1]).any() and (pictures[1] != pictures[2]).any()
    np.testing.assert_array_equal(pictures[1], pictures[3])
    # They differ in the word upon the box alone.
    np.testing.assert_array_equal(pictures[0][50:], pictures[1][50:])
