from __future__ import annotations

import numpy as np
import pytest
from detectron2.config import get_cfg
from detectron2.data import transforms as T

from df2s2_d2.config import add_df2s2_config
from df2s2_d2.data.augmentation import (
    AnchorSampling,
    PhotometricDistortion,
    RandomChoice,
    RandomDegradation,
    RandomSquareCrop,
    RandomWindow,
    SquareWindowTransform,
    build_augmentations,
)


@pytest.fixture
def cfg():
    cfg = get_cfg()
    add_df2s2_config(cfg)
    return cfg


def output_size(augmentations: list[T.Augmentation], height: int, width: int) -> tuple[int, int]:
    inputs = T.AugInput(np.zeros((height, width, 3), dtype=np.uint8))
    T.AugmentationList(augmentations)(inputs)
    return inputs.image.shape[:2]


def test_everything_on_comes_in_order(cfg):
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.SQUARE_CROP.MIN_SCALE = 0.4
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 64
    cfg.INPUT.PHOTOMETRIC_DISTORTION = True
    cfg.INPUT.FORMAT = "RGB"
    augmentations = build_augmentations(cfg, is_train=True)
    assert [type(augmentation) for augmentation in augmentations] == [
        T.RandomApply,
        T.Resize,
        T.RandomFlip,
        PhotometricDistortion,
    ]
    crop = augmentations[0].aug
    assert isinstance(crop, RandomSquareCrop)
    assert (crop.min_scale, crop.max_scale) == (0.4, 1.0)
    assert augmentations[2].horizontal and not augmentations[2].vertical
    assert augmentations[3].image_format == "RGB"
    assert output_size(augmentations, 300, 200) == (64, 64)


def test_share_of_cropped_images_follows_its_key(cfg):
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.SQUARE_CROP.MIN_SCALE = cfg.INPUT.SQUARE_CROP.MAX_SCALE = 0.5
    cfg.INPUT.SQUARE_CROP.PROBABILITY = 0.25
    crop = build_augmentations(cfg, is_train=True)[0]
    np.random.seed(0)
    sizes = [output_size([crop], 40, 60) for _ in range(400)]
    assert set(sizes) == {(20, 20), (40, 60)}
    assert 0.19 < sizes.count((20, 20)) / len(sizes) < 0.31


def test_two_fifths_of_the_crops_are_sampled_by_anchors(cfg):
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.SQUARE_CROP.WHOLE_SIDE_PROBABILITY = 0.25
    cfg.INPUT.ANCHOR_SAMPLING.ENABLED = True
    cfg.INPUT.ANCHOR_SAMPLING.ANCHOR_SIZES = [2, 4]
    cfg.INPUT.MIN_ORIGINAL_FACE_SIZE = 5.0
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 32
    cfg.MODEL.PIXEL_MEAN = [1.0, 2.0, 3.0]
    choice, resize, _ = build_augmentations(cfg, is_train=True)
    assert isinstance(choice, RandomChoice)
    sampling, crop = choice.first, choice.second.augs[0].aug
    assert isinstance(sampling, AnchorSampling) and isinstance(crop, RandomSquareCrop)
    assert (sampling.anchor_sizes, sampling.output_size) == ([2, 4], 32)
    assert sampling.pad_value == (1.0, 2.0, 3.0)
    assert (crop.whole_side_prob, crop.min_face_size, sampling.min_face_size) == (0.25, 5.0, 5.0)

    np.random.seed(0)
    boxes = np.array([[10, 10, 20, 20]], dtype=np.float32)
    kinds = []
    for _ in range(1000):
        inputs = T.AugInput(np.zeros((40, 60, 3), dtype=np.uint8), boxes=boxes)
        kinds.append(type(choice(inputs)))
        resize(inputs)
        assert inputs.image.shape == (32, 32, 3)
    assert set(kinds) == {SquareWindowTransform, T.TransformList}
    # 400 of 1,000, standard deviation 15
    assert abs(kinds.count(SquareWindowTransform) - 400) < 4 * 15


def test_anchor_sampling_alone_leaves_the_other_images_whole(cfg):
    cfg.INPUT.ANCHOR_SAMPLING.ENABLED = True
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 32
    choice = build_augmentations(cfg, is_train=True)[0]
    np.random.seed(0)
    assert {output_size([choice], 40, 60) for _ in range(30)} == {(40, 60), (40, 40)}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("RESIZE_SQUARE_TRAIN", 0, "ANCHOR_SAMPLING needs INPUT.RESIZE_SQUARE_TRAIN above 0"),
        ("ANCHOR_SAMPLING.PROBABILITY", 1.5, "PROBABILITY: expected 0 to 1; found 1.5"),
        ("ANCHOR_SAMPLING.ANCHOR_SIZES", [32, 16], r"ANCHOR_SIZES.*found \[32, 16\]"),
    ],
)
def test_impossible_anchor_sampling_is_told_by_key(cfg, key, value, message):
    cfg.INPUT.ANCHOR_SAMPLING.ENABLED = True
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 640
    cfg.merge_from_list([f"INPUT.{key}", value])
    with pytest.raises(ValueError, match=message):
        build_augmentations(cfg, is_train=True)


def test_without_crop_the_short_side_is_drawn(cfg):
    cfg.INPUT.MIN_SIZE_TRAIN = (20, 40)
    cfg.INPUT.RANDOM_FLIP = "none"
    cfg.INPUT.MAX_SIZE_TRAIN = 0
    (resize,) = build_augmentations(cfg, is_train=True)
    np.random.seed(0)
    assert {output_size([resize], 10, 100) for _ in range(30)} == {(20, 200), (40, 400)}

    cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = "range"
    (resize,) = build_augmentations(cfg, is_train=True)
    heights = {output_size([resize], 10, 100)[0] for _ in range(400)}
    assert heights == set(range(20, 41))

    cfg.INPUT.MAX_SIZE_TRAIN = 100
    (resize,) = build_augmentations(cfg, is_train=True)
    assert output_size([resize], 10, 100) == (10, 100)


def test_a_crop_alone_is_resized_by_its_short_side(cfg):
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.MIN_SIZE_TRAIN = (50,)
    assert output_size(build_augmentations(cfg, is_train=True), 300, 200) == (50, 50)


@pytest.mark.parametrize(
    ("min_size", "max_size", "expected"),
    [
        (0, 0, (100, 400)),  # original size
        (200, 0, (200, 800)),  # short side 200, no limit
        (640, 640, (160, 640)),  # VGA: long side 640
    ],
)
def test_test_images(cfg, min_size, max_size, expected):
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 64
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = min_size, max_size
    assert output_size(build_augmentations(cfg, is_train=False), 100, 400) == expected


def test_test_images_that_would_get_too_large_keep_their_size(cfg):
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 800, 0
    cfg.TEST.AUG.MAX_PIXELS = 800 * 5000
    augmentations = build_augmentations(cfg, is_train=False)
    assert output_size(augmentations, 20, 125) == (800, 5000)
    assert output_size(augmentations, 20, 126) == (20, 126)
    assert output_size(augmentations, 3000, 20) == (3000, 20)
    cfg.INPUT.MAX_SIZE_TEST = 1333
    assert output_size(build_augmentations(cfg, is_train=False), 3000, 20) == (1333, 9)


def test_vertical_flip(cfg):
    cfg.INPUT.RANDOM_FLIP = "vertical"
    flip = build_augmentations(cfg, is_train=True)[1]
    assert flip.vertical and not flip.horizontal


def test_unknown_flip_is_told_by_key(cfg):
    cfg.INPUT.RANDOM_FLIP = "horisontal"
    with pytest.raises(ValueError, match="INPUT.RANDOM_FLIP.*'horisontal'"):
        build_augmentations(cfg, is_train=True)


def test_a_random_window_takes_the_place_of_other_crops(cfg):
    cfg.INPUT.RANDOM_WINDOW.ENABLED = True
    cfg.INPUT.RANDOM_WINDOW.SQUEEZE = [0.8, 1.6]
    cfg.INPUT.RANDOM_WINDOW.FACE_SIZES = [4.0, 8.0]
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 32
    cfg.INPUT.DEGRADATION = True
    cfg.MODEL.PIXEL_MEAN = [1.0, 2.0, 3.0]
    augmentations = build_augmentations(cfg, is_train=True)
    window = augmentations[0]
    assert isinstance(window, RandomWindow) and isinstance(augmentations[-1], RandomDegradation)
    assert (window.squeeze_range, window.face_sizes) == ((0.8, 1.6), (4.0, 8.0))
    assert window.pad_value == (1.0, 2.0, 3.0)
    np.random.seed(0)
    for _ in range(20):
        boxes = np.array([[10, 10, 20, 20]], dtype=np.float32)
        inputs = T.AugInput(np.zeros((40, 60, 3), dtype=np.uint8), boxes=boxes)
        T.AugmentationList(augmentations)(inputs)
        assert inputs.image.shape == (32, 32, 3)

    for other in ("CROP", "ANCHOR_SAMPLING"):
        conflicting = cfg.clone()
        conflicting.merge_from_list([f"INPUT.{other}.ENABLED", True])
        with pytest.raises(ValueError, match="RANDOM_WINDOW takes the place of other crops"):
            build_augmentations(conflicting, is_train=True)


def test_a_random_window_needs_the_size_it_becomes(cfg):
    cfg.INPUT.RANDOM_WINDOW.ENABLED = True
    with pytest.raises(ValueError, match="RANDOM_WINDOW needs INPUT.RESIZE_SQUARE_TRAIN above 0"):
        build_augmentations(cfg, is_train=True)
