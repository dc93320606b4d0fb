from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation import DegradationTransform, RandomDegradation


@pytest.fixture
def image():
    """Smooth colours, as a photograph has them."""
    ys, xs = np.mgrid[0:48, 0:64]
    return np.stack([2 * xs + ys, 255 - 3 * xs, 100 + ys], axis=2).astype(np.uint8)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.astype(int) - b.astype(int)


def test_nothing_asked_for_changes_nothing(image):
    result = DegradationTransform().apply_image(image)
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


def test_detail_is_lost_and_the_size_is_kept():
    stripes = np.zeros((40, 60, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    result = DegradationTransform(shrink=2.0).apply_image(stripes)
    assert result.shape == stripes.shape and (result == 100).all()


def test_a_shrunk_image_stays_in_its_place(image):
    result = DegradationTransform(shrink=1.7).apply_image(image)
    assert np.abs(difference(result, image))[2:-2, 2:-2].max() <= 4


def test_grey_is_the_mean_of_the_channels(image):
    result = DegradationTransform(grey=True).apply_image(image)
    for channel in range(3):
        assert np.abs(result[..., channel] - image.mean(axis=2)).max() <= 0.5


def test_a_point_is_blurred_to_a_gaussian():
    image = np.zeros((21, 21, 3), dtype=np.uint8)
    image[10, 10] = 255
    result = DegradationTransform(blur=1.0).apply_image(image)[..., 0]
    assert result[10, 10] == pytest.approx(255 / (2 * np.pi), rel=0.05)
    assert result[10, 11] / result[10, 10] == pytest.approx(np.exp(-0.5), abs=0.05)


def test_noise_has_its_deviation_and_repeats():
    image = np.full((100, 100, 3), 128, dtype=np.uint8)
    noisy = DegradationTransform(noise=5.0, noise_seed=3)
    result = noisy.apply_image(image)
    assert difference(result, image).std() == pytest.approx(5.0, rel=0.05)
    np.testing.assert_array_equal(result, noisy.apply_image(image))


def test_noise_does_not_wrap_around():
    white = np.full((50, 50, 3), 255, dtype=np.uint8)
    assert DegradationTransform(noise=10.0).apply_image(white).min() > 180


def test_compression_takes_more_away_at_lower_quality(image):
    image = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
    losses = [
        np.abs(difference(DegradationTransform(jpeg_quality=q).apply_image(image), image)).mean()
        for q in (95, 60, 20)
    ]
    assert 0 < losses[0] < losses[1] < losses[2]


def test_compression_keeps_the_order_of_channels(image):
    image[:] = (200, 100, 30)
    result = DegradationTransform(jpeg_quality=90).apply_image(image)
    assert np.abs(difference(result, image)).max() <= 6


def test_boxes_labels_and_flipped_images_pass(image):
    everything = DegradationTransform(shrink=2.0, grey=True, blur=0.5, noise=3.0, jpeg_quality=50)
    assert everything.apply_image(image[:, ::-1]).shape == image.shape
    assert (everything.apply_box([1.0, 2, 3, 4]) == [[1, 2, 3, 4]]).all()
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(everything.apply_segmentation(labels), labels)
    assert isinstance(everything.inverse(), T.NoOpTransform)


def test_each_kind_comes_with_its_own_probability(image):
    np.random.seed(0)
    degradation = RandomDegradation(
        shrink_prob=0.4, grey_prob=0.2, blur_prob=0.1, noise_prob=0.3, jpeg_prob=0.6
    )
    drawn = [degradation.get_transform(image) for _ in range(2000)]
    shares = {
        0.4: [x.shrink > 1 for x in drawn],
        0.2: [x.grey for x in drawn],
        0.1: [x.blur > 0 for x in drawn],
        0.3: [x.noise > 0 for x in drawn],
        0.6: [x.jpeg_quality > 0 for x in drawn],
    }
    for expected, tossed in shares.items():
        assert np.mean(tossed) == pytest.approx(expected, abs=0.045)  # four deviations
