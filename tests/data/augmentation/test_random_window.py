from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation import RandomWindow

OUTPUT_SIZE = 256
GREY = (127.0, 127.0, 127.0)


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


def blank(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.uint8(0), (height, width, 3))


def draw(image: np.ndarray, boxes, times: int = 500, **settings) -> list[T.Transform]:
    window = RandomWindow(OUTPUT_SIZE, GREY, **settings)
    boxes = None if boxes is None else np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return [window.get_transform(image, boxes) for _ in range(times)]


def shapes(windows: list[T.Transform], box) -> np.ndarray:
    """(P, 2) width and height of the box in each result."""
    return np.array([np.diff(x.apply_box(box).reshape(2, 2), axis=0)[0] for x in windows])


def sides(windows: list[T.Transform]) -> np.ndarray:
    return np.array([np.sqrt(window.side.prod()) for window in windows])


def assert_log_uniform(values: np.ndarray, low: float, high: float) -> None:
    shares = (np.log(values) - np.log(low)) / np.log(high / low)
    assert shares.min() > -1e-6 and shares.max() < 1 + 1e-6
    # The mean of 500 uniform values is 0.5 with a deviation of 0.013.
    assert abs(shares.mean() - 0.5) < 0.05 and np.median(shares) == pytest.approx(0.5, abs=0.1)


def test_a_face_gets_any_size_of_the_range():
    box = [400, 300, 440, 350]
    windows = draw(blank(1000, 1200), box, face_prob=1.0, face_sizes=(8.0, 128.0))
    assert_log_uniform(np.sqrt(shapes(windows, box).prod(axis=1)), 8, 128)


def test_the_largest_scale_bounds_windows_around_large_faces():
    box = [0, 0, 200, 200]
    windows = draw(blank(200, 300), box, face_prob=1.0, scale_range=(0.3, 2.0))
    assert sides(windows).max() == pytest.approx(400)
    assert np.sqrt(shapes(windows, box).prod(axis=1)).min() == pytest.approx(128)


@pytest.mark.parametrize("boxes", [None, [], [[10, 10, 50, 50]]])
def test_other_windows_are_a_share_of_the_short_side(boxes):
    windows = draw(blank(300, 200), boxes, face_prob=0.0, scale_range=(0.5, 2.0))
    assert_log_uniform(sides(windows), 100, 400)


def test_the_chosen_face_shows_whole_at_any_place_of_the_window():
    box = np.array([10, 700, 40, 740])
    windows = draw(
        blank(1000, 1200), box, face_prob=1.0, face_sizes=(8.0, 50.0), squeeze_range=(0.5, 2.0)
    )
    boxes = np.concatenate([x.apply_box(box) for x in windows])
    assert boxes.min() > -1e-6 and boxes.max() < OUTPUT_SIZE + 1e-6
    # Near the left border of the image the face is left in the window, but at any height.
    assert np.ptp(boxes[:, 1]) > 0.8 * OUTPUT_SIZE


def test_a_face_larger_than_its_window_nearly_fills_it():
    box = [300, 300, 700, 700]
    windows = draw(blank(1000, 1000), box, face_prob=1.0, face_sizes=(512.0, 512.0))
    boxes = np.concatenate([x.apply_box(box) for x in windows])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert centres.min() > 0.45 * OUTPUT_SIZE - 1e-6 and centres.max() < 0.55 * OUTPUT_SIZE + 1e-6


def test_a_face_of_a_few_pixels_is_enlarged_within_bounds():
    windows = draw(blank(1000, 1200), [50, 50, 54, 54], face_prob=1.0, face_sizes=(64.0, 320.0))
    assert sides(windows) == pytest.approx(80)


def test_some_windows_of_any_size_lie_anywhere():
    box = [10, 10, 30, 30]
    windows = draw(blank(1000, 1000), box, 1000, face_prob=0.0, scale_range=(0.1, 0.1))
    showing = [
        (window.apply_box(box) > -1e-6).all() and (window.apply_box(box) < OUTPUT_SIZE + 1e-6).all()
        for window in windows
    ]
    # Windows at random places hardly ever show it; 0.8 with a deviation of 0.013.
    assert np.mean(showing) == pytest.approx(0.8, abs=0.05)


def test_windows_lie_in_the_image_or_around_it():
    for window in draw(blank(300, 200), [[10, 10, 50, 50]], squeeze_range=(0.5, 2.0)):
        room = np.array([200, 300]) - window.side
        assert (window.origin >= np.minimum(room, 0) - 1e-6).all()
        assert (window.origin <= np.maximum(room, 0) + 1e-6).all()


def test_faces_become_slimmer_and_broader():
    box = [400, 300, 440, 350]  # height / width 1.25
    windows = draw(blank(1000, 1200), box, squeeze_range=(0.8, 1.8))
    width, height = shapes(windows, box).T
    assert_log_uniform(height / width / 1.25, 0.8, 1.8)


def test_the_image_follows_the_boxes():
    image = np.zeros((400, 300, 3), dtype=np.uint8)
    image[100:200, 80:160] = 255
    for window in draw(image, [[80, 100, 160, 200]], times=20, squeeze_range=(0.7, 1.5)):
        result = window.apply_image(image)
        assert result.shape == (OUTPUT_SIZE, OUTPUT_SIZE, 3)
        ys, xs = np.nonzero(result[..., 0] > 200)
        (box,) = window.apply_box([80, 100, 160, 200])
        expected = box.clip(0, OUTPUT_SIZE)
        if len(xs) and np.diff(expected.reshape(2, 2), axis=0).min() > 8:
            shown = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            np.testing.assert_allclose(shown, expected, atol=2)


def test_boxes_without_an_area_are_no_faces():
    windows = draw(blank(200, 200), [[5, 5, 5, 50]], face_prob=1.0, scale_range=(0.5, 1.0))
    assert_log_uniform(sides(windows), 100, 200)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale_range": (0.0, 1.0)}, "SCALE: expected a range above 0; found 0.0 to 1.0"),
        ({"face_sizes": (32.0, 16.0)}, "FACE_SIZES: expected a range above 0; found 32.0"),
        ({"squeeze_range": (0.5, np.inf)}, "SQUEEZE: expected a range above 0"),
        ({"face_prob": 1.5}, "FACE_PROBABILITY: expected 0 to 1; found 1.5"),
    ],
)
def test_impossible_settings_are_told_by_key(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomWindow(OUTPUT_SIZE, GREY, **settings)
