from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation import RandomSquareCrop, centres_inside, sizes_inside


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


def draw(crop: RandomSquareCrop, height: int, width: int, boxes, times: int) -> np.ndarray:
    """(times, 3): x0, y0 and side of the crops; each is a square inside the image."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    windows = []
    for _ in range(times):
        transform = crop.get_transform(image, boxes)
        assert transform.w == transform.h == transform.apply_image(image).shape[0]
        windows.append((transform.x0, transform.y0, transform.w))
    windows = np.array(windows)
    assert (windows >= (0, 0, 1)).all()
    assert (windows[:, :2] + windows[:, 2:] <= (width, height)).all()
    return windows


def test_centres_inside():
    boxes = np.array(
        [[0, 0, 10, 10], [8, 0, 12, 10], [15, 5, 45, 15]]
    )  # centres (5, 5), (10, 5), …
    windows = np.array([[0, 0, 10, 10], [4, 4, 31, 11], [0, 5, 40, 20]])
    np.testing.assert_array_equal(
        centres_inside(boxes, windows),
        # On the border is outside: the second box for the first window, 5 = y0 for the last.
        [[True, False, False], [True, True, True], [False, False, True]],
    )
    assert centres_inside(boxes[:0], windows).shape == (3, 0)


def test_sizes_inside():
    boxes = np.array([[0, 0, 10, 10], [8, 4, 12, 20]])
    windows = np.array([[0, 0, 10, 10], [5, 6, 50, 7]])
    np.testing.assert_array_equal(
        sizes_inside(boxes, windows), [[[10, 10], [2, 6]], [[5, 1], [4, 1]]]
    )
    assert (sizes_inside(boxes, np.array([[20, 20, 30, 30]])) <= 0).any(axis=2).all()


@pytest.mark.parametrize("boxes", [None, np.array([[700, 100, 720, 130]], dtype=np.float32)])
def test_sides_are_uniform_with_and_without_faces(boxes):
    windows = draw(RandomSquareCrop(0.3, 1.0), 400, 1000, boxes, times=3000)
    shares = windows[:, 2] / 400
    assert shares.min() >= 0.3 and shares.max() <= 1.0
    counts, _ = np.histogram(shares, bins=np.linspace(0.3, 1.0, 8))
    # 3000 / 7 = 429 each; the standard deviation of such a count is 19.
    assert np.abs(counts - 3000 / 7).max() < 5 * 19


def test_positions_are_uniform_without_faces():
    windows = draw(RandomSquareCrop(0.5, 0.5), 20, 30, None, times=4200)
    x_counts = np.bincount(windows[:, 0], minlength=21)
    y_counts = np.bincount(windows[:, 1], minlength=11)
    assert len(x_counts) == 21 and len(y_counts) == 11
    assert np.abs(x_counts - 4200 / 21).max() < 5 * 14
    assert np.abs(y_counts - 4200 / 11).max() < 5 * 19


def test_crops_of_images_with_faces_nearly_always_keep_one():
    boxes = np.array([[480, 180, 520, 220]], dtype=np.float32)
    windows = draw(RandomSquareCrop(0.3, 1.0), 400, 1000, boxes, times=1000)
    corners = np.concatenate([windows[:, :2], windows[:, :2] + windows[:, 2:]], axis=1)
    # The smallest crop, side 120, holds the face in 5.8 % of its positions: 95 % with 50 tries.
    assert centres_inside(boxes, corners).mean() > 0.98


def test_a_share_of_the_crops_has_the_whole_short_side():
    windows = draw(RandomSquareCrop(0.3, 0.9, whole_side_prob=0.2), 400, 1000, None, times=1000)
    whole = windows[:, 2] == 400
    # 200 of 1,000, standard deviation 13
    assert abs(whole.sum() - 200) < 4 * 13
    assert windows[~whole, 2].max() <= 360


def test_crops_prefer_faces_that_show_enough_pixels():
    """The large face lies in few of the positions that keep the small one."""
    small, large = [300, 100, 306, 108], [900, 300, 940, 340]
    boxes = np.array([small, large], dtype=np.float32)
    shares = []
    for min_face_size in (0.0, 8.0):
        crop = RandomSquareCrop(0.6, 0.6, min_face_size=min_face_size)
        windows = draw(crop, 400, 1000, boxes, times=200)
        corners = np.concatenate([windows[:, :2], windows[:, :2] + windows[:, 2:]], axis=1)
        kept = centres_inside(boxes, corners)
        assert kept.any(axis=1).all()
        shares.append(kept[:, 1].mean())
        enough = sizes_inside(boxes, corners)[:, 1].min(axis=1) >= min_face_size
        assert enough[kept[:, 1]].all()
    # It is in 5 % of the positions: in one of 50 with a probability of 93 %.
    assert shares[0] < 0.5 and shares[1] > 0.85
    # Where there is no other, the small one will do.
    windows = draw(RandomSquareCrop(0.6, 0.6, min_face_size=8.0), 400, 1000, boxes[:1], times=100)
    corners = np.concatenate([windows[:, :2], windows[:, :2] + windows[:, 2:]], axis=1)
    assert centres_inside(boxes[:1], corners).all()


def test_unreachable_faces_leave_a_background_crop():
    boxes = np.array([[-50, -50, -10, -10]], dtype=np.float32)
    assert len(draw(RandomSquareCrop(0.3, 1.0), 40, 50, boxes, times=5)) == 5
    assert len(draw(RandomSquareCrop(0.3, 1.0), 40, 50, boxes[:0], times=5)) == 5


def test_an_image_of_one_pixel():
    np.testing.assert_array_equal(draw(RandomSquareCrop(0.3, 0.3), 1, 1, None, 1), [[0, 0, 1]])


@pytest.mark.parametrize("scales", [(0.0, 1.0), (0.8, 0.5), (0.3, 1.1)])
def test_impossible_scales_are_told_by_key(scales):
    with pytest.raises(ValueError, match="INPUT.SQUARE_CROP"):
        RandomSquareCrop(*scales)


@pytest.mark.parametrize("prob", [-0.1, 1.1])
def test_impossible_share_of_whole_sides_is_told_by_key(prob):
    with pytest.raises(ValueError, match="INPUT.SQUARE_CROP.WHOLE_SIDE_PROBABILITY"):
        RandomSquareCrop(0.3, 1.0, whole_side_prob=prob)


def test_boxes_follow_pixels_through_crop_resize_and_flip():
    """Three faces, each painted into a channel of its own: the channel shows where its face is."""
    boxes = np.array([[40, 50, 70, 90], [150, 30, 210, 100], [250, 180, 300, 260]])
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2, channel] = 255
    augmentations = T.AugmentationList(
        [RandomSquareCrop(0.3, 1.0), T.Resize(256), T.RandomFlip(prob=0.5)]
    )
    num_compared = 0
    for _ in range(60):
        inputs = T.AugInput(image, boxes=boxes.astype(np.float32))
        augmentations(inputs)
        assert inputs.image.shape == (256, 256, 3)
        for channel, box in enumerate(inputs.boxes):
            ys, xs = np.nonzero(inputs.image[..., channel] > 127)
            clipped = box.clip(0, 256)
            if len(xs) == 0:
                assert (clipped[2:] - clipped[:2]).min() < 1.5
                continue
            painted = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            np.testing.assert_allclose(clipped, painted, atol=1.0)
            num_compared += 1
    assert num_compared > 60
