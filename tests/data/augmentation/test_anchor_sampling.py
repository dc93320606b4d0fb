from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import transforms as T
from scipy import stats

from df2s2_d2.data.augmentation import AnchorSampling, SquareWindowTransform

ANCHOR_SIZES = [16, 32, 64, 128, 256, 512]
OUTPUT_SIZE = 640
BLACK = (0.0, 0.0, 0.0)


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


def make_sampling(**settings) -> AnchorSampling:
    defaults = {"anchor_sizes": ANCHOR_SIZES, "output_size": OUTPUT_SIZE, "pad_value": BLACK}
    return AnchorSampling(**{**defaults, **settings})


def blank(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.uint8(0), (height, width, 3))


def draw(image: np.ndarray, boxes, times: int, **settings) -> list[SquareWindowTransform]:
    sampling = make_sampling(**settings)
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    windows = [sampling.get_transform(image, boxes) for _ in range(times)]
    assert all(isinstance(window, SquareWindowTransform) for window in windows)
    return windows


def face_sizes(windows: list[SquareWindowTransform], box) -> np.ndarray:
    """Square roots of the face's area in each result."""
    sides = [np.diff(window.apply_box(box).reshape(2, 2), axis=0) for window in windows]
    return np.sqrt(np.prod(sides, axis=(1, 2)))


@pytest.mark.parametrize(
    ("width", "height", "num_choices"),
    [
        (4, 9, 2),  # size 6, nearest to 16: up to 32
        (24, 24, 2),  # as near to 16 as to 32: the first of them
        (25, 25, 3),  # nearer to 32: up to 64
        (100, 81, 4),  # size 90, nearest to 64 by difference although to 128 by ratio
        (100, 100, 5),  # nearest to 128: up to 256
        (800, 700, 6),  # nearest to the largest
    ],
)
def test_sizes_are_an_anchors_times_up_to_two_either_way(width, height, num_choices):
    box = [900, 600, 900 + width, 600 + height]
    sizes = face_sizes(draw(blank(1500, 2000), box, times=3000), box)
    anchors = np.array(ANCHOR_SIZES[:num_choices])

    def expected(size: np.ndarray) -> np.ndarray:
        # The logarithm to the base 2 is uniform from -1 to 1 around that of each anchor.
        shares = (np.log2(np.asarray(size)[..., None] / anchors) + 1) / 2
        return shares.clip(0, 1).mean(axis=-1)

    assert stats.kstest(sizes, expected).pvalue > 0.01
    assert sizes.min() >= 8 * (1 - 1e-6) and sizes.max() <= 2 * anchors[-1] * (1 + 1e-6)


def test_every_face_is_as_likely():
    boxes = [[100, 100, 110, 110], [600, 300, 1200, 900]]
    # One anchor: crops have 10 x 640 / 8 = 800 at most around the small face, the other's have
    # 600 x 640 / 32 = 12,000 at least.
    windows = draw(blank(1500, 2000), boxes, times=1000, anchor_sizes=[16])
    sides = np.array([window.side for window in windows])
    assert ((sides <= 800.1) | (sides >= 11_999)).all()
    # 500 of 1,000, standard deviation 16
    assert abs((sides < 1000).sum() - 500) < 4 * 16


@pytest.mark.parametrize(
    "box",
    [
        [500, 400, 530, 440],
        [0, 0, 30, 40],  # in a corner
        [960, 0, 1000, 700],  # narrow and as high as the image
        [0, 0, 1000, 700],  # the whole image
    ],
)
def test_crops_keep_the_face_and_leave_the_image_no_further_than_they_must(box):
    image_size, start, end = np.array([1000, 700]), np.array(box[:2]), np.array(box[2:])
    for window in draw(blank(700, 1000), box, times=500):
        first, last = window.origin, window.origin + window.side
        fits = window.side >= end - start
        tolerance = 1e-6 * window.side
        assert ((first <= start + tolerance) & (last >= end - tolerance))[fits].all()
        # A larger face fills the crop, which keeps its centre.
        assert ((first >= start - tolerance) & (last <= end + tolerance))[~fits].all()
        centre = (start + end) / 2
        assert ((first <= centre + tolerance) & (last >= centre - tolerance)).all()
        # Inside the image where it is the larger, around it where it is the smaller.
        inside = window.side <= image_size
        assert ((first >= -tolerance) & (last <= image_size + tolerance))[inside].all()
        assert ((first <= tolerance) & (last >= image_size - tolerance))[~inside].all()


def test_places_are_uniform_where_the_image_leaves_room():
    box = [4980, 4980, 5020, 5020]
    windows = draw(blank(10_000, 10_000), box, times=2000)
    places = np.array([(4980 - window.origin) / (window.side - 40) for window in windows])
    assert stats.kstest(places[:, 0], "uniform").pvalue > 0.01
    assert stats.kstest(places[:, 1], "uniform").pvalue > 0.01
    assert abs(np.corrcoef(places.T)[0, 1]) < 4 / np.sqrt(2000)


def test_faces_that_are_too_small_are_chosen_only_if_there_are_no_others():
    tiny, narrow, large = [10, 10, 16, 16], [50, 10, 57, 40], [600, 500, 608, 508]
    image = blank(1000, 1000)
    for window in draw(image, [tiny, narrow, large], times=100, min_face_size=8.0):
        (box,) = window.apply_box(large)
        assert box.min() > -1e-3 and box.max() < OUTPUT_SIZE + 1e-3
        assert face_sizes([window], large)[0] >= 8 * (1 - 1e-6)
    sizes = face_sizes(draw(image, tiny, times=100, min_face_size=8.0), tiny)
    assert (sizes >= 8 * (1 - 1e-6)).all()
    # What counts is what the image shows of a face.
    cut = [-100, 700, 5, 800]
    for window in draw(image, [cut, large], times=50, min_face_size=8.0):
        assert face_sizes([window], large)[0] <= 64 * (1 + 1e-6)


@pytest.mark.parametrize(
    "boxes", [None, np.zeros((0, 4)), np.array([[5, 5, 5, 9]]), np.array([[-9, 5, -1, 9]])]
)
def test_images_without_faces_give_a_square_of_their_short_side(boxes):
    corners = set()
    for _ in range(50):
        transform = make_sampling().get_transform(blank(20, 30), boxes)
        assert isinstance(transform, T.CropTransform)
        assert transform.apply_image(blank(20, 30)).shape == (20, 20, 3)
        corners.add(transform.x0)
    assert min(corners) <= 1 and max(corners) >= 9


def test_boxes_follow_pixels():
    """Three faces, each painted into a channel of its own: the channel shows where its face is."""
    boxes = np.array([[40, 50, 70, 90], [150, 30, 210, 100], [250, 180, 300, 260]])
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2, channel] = 255
    augmentations = T.AugmentationList([make_sampling(), T.Resize(OUTPUT_SIZE), T.RandomFlip()])
    num_compared = num_small = 0
    for _ in range(60):
        inputs = T.AugInput(image, boxes=boxes.astype(np.float32))
        augmentations(inputs)
        assert inputs.image.shape == (OUTPUT_SIZE, OUTPUT_SIZE, 3)
        for channel, box in enumerate(inputs.boxes):
            clipped = box.clip(0, OUTPUT_SIZE)
            width, height = clipped[2:] - clipped[:2]
            if min(width, height) < 2:  # too small to be told from pixels
                continue
            ys, xs = np.nonzero(inputs.image[..., channel] > 127)
            painted = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            np.testing.assert_allclose(clipped, painted, atol=1.0)
            num_compared += 1
            num_small += width < 20
    assert num_compared > 60 and num_small > 10


def test_a_seed_gives_the_same_crops_again():
    box = [500, 400, 530, 440]
    draws = []
    for value in (1, 1, 2):
        np.random.seed(value)
        draws.append([(*w.origin, w.side) for w in draw(blank(700, 1000), box, times=3)])
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("sizes", [[], [0, 16], [32, 16], [16, 16], [16, "32"], [16, float("inf")]])
def test_impossible_anchor_sizes_are_told_by_key(sizes):
    with pytest.raises(ValueError, match="INPUT.ANCHOR_SAMPLING.ANCHOR_SIZES: expected ascending"):
        make_sampling(anchor_sizes=sizes)


def test_images_of_no_fixed_size_are_told_by_key():
    with pytest.raises(ValueError, match="needs INPUT.RESIZE_SQUARE_TRAIN above 0.*found 0"):
        make_sampling(output_size=0)
