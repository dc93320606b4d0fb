"""Images that are read behind their augmentations, beside such that are read before them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from detectron2.data import transforms as T
from PIL import Image

from df2s2_d2 import load_config
from df2s2_d2.data import RandomSquareCrop, build_augmentations
from df2s2_d2.data.augmentation import (
    AnchorSampling,
    DeferredAugmentations,
    DeferredInput,
    PhotometricDistortion,
)
from df2s2_d2.data.augmentation.deferred_input import decides_by_size
from df2s2_d2.data.augmentation.random_choice import RandomChoice
from df2s2_d2.data.image_file import ImageFile
from df2s2_d2.data.image_reading import read_image

BOXES = np.array([[10, 20, 60, 90], [100, 50, 130, 80], [200, 10, 290, 110]], dtype=np.float32)


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """A JPEG of 300 x 220 pixels, soft as photographs are."""
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (28, 38, 3), dtype=np.uint8))
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    image.resize((300, 220), Image.Resampling.BICUBIC).save(path, quality=95)
    return path


def augment_both(photo: Path, augmentations: list, seed: int):
    """Image and boxes as T.AugInput gets them, and those of a deferred input; RNG states after."""
    results = []
    for inputs, kind in (
        (T.AugInput(read_image(photo, "BGR"), boxes=BOXES.copy()), T.AugmentationList),
        (DeferredInput(ImageFile(photo, "BGR"), BOXES.copy()), DeferredAugmentations),
    ):
        np.random.seed(seed)
        transforms = kind(augmentations)(inputs)
        state = np.random.get_state()[1].tolist()
        if isinstance(inputs, DeferredInput):
            inputs.read_pixels()
        regions = transforms.apply_box(BOXES.copy())
        results.append((inputs.image, inputs.boxes, regions, state))
    return results


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        ("configs/DF2S2/Base-DF2S2.yaml", []),
        ("configs/DSFD/Base-DSFD.yaml", []),
        ("configs/DF2S2/ablations/RetinaNet_R50.yaml", ["INPUT.MIN_SIZE_TRAIN", (60, 300)]),
        ("configs/DF2S2/Base-DF2S2.yaml", ["INPUT.RANDOM_FLIP", "vertical"]),
    ],
)
def test_reading_last_changes_no_box_no_draw_and_hardly_a_pixel(photo, config, overrides):
    overrides = ["INPUT.RESIZE_SQUARE_TRAIN", 96, *overrides]
    if "RetinaNet" in config:
        overrides += ["INPUT.RESIZE_SQUARE_TRAIN", 0]
    root = Path(__file__).resolve().parents[3]
    augmentations = build_augmentations(load_config(str(root / config), overrides), is_train=True)
    means = []
    for seed in range(40):
        (image, *others), (late, *late_others) = augment_both(photo, augmentations, seed)
        for expected, found in zip(others, late_others, strict=True):
            np.testing.assert_array_equal(found, expected)
        assert late.shape == image.shape and late.dtype == np.uint8
        means.append(np.abs(late.astype(int) - image).mean())
    # Roundings, and decoding at a half of the size.
    assert np.mean(means) < 1 and max(means) < 5


def test_pixels_are_exact_where_nothing_is_resized(photo):
    crops = [T.RandomCrop("absolute", (90, 80)), T.RandomFlip(), RandomSquareCrop(0.2, 1.0)]
    for seed in range(10):
        (image, *_), (late, *_) = augment_both(photo, crops, seed)
        np.testing.assert_array_equal(late, image)


class Look(T.Augmentation):
    """An augmentation of a user's that depends on pixels."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def get_transform(self, image: np.ndarray) -> T.Transform:
        assert type(image) is np.ndarray
        self.seen.append(image.mean())
        return T.HFlipTransform(image.shape[1]) if image.mean() > 127.5 else T.NoOpTransform()


@pytest.mark.parametrize("wrap", [lambda x: x, T.RandomApply, lambda x: T.AugmentationList([x])])
def test_an_augmentation_that_looks_at_pixels_gets_them(photo, wrap):
    look = Look()
    augmentations = [
        RandomSquareCrop(0.5, 0.9),
        T.RandomContrast(0.5, 1.5),
        wrap(look),
        T.RandomExtent((0.8, 0.9), (0.1, 0.1)),
        T.RandomFlip(),
    ]
    for seed in range(10):
        (image, boxes, *_), (late, late_boxes, *_) = augment_both(photo, augmentations, seed)
        np.testing.assert_array_equal(late, image)
        np.testing.assert_array_equal(late_boxes, boxes)
    assert len(look.seen) > 5
    assert look.seen[::2] == look.seen[1::2]


def test_transforms_that_no_view_follows_act_on_pixels(photo):
    augmentations = [
        T.CropTransform(10, 20, 100, 90),
        T.FixedSizeCrop((120, 110), pad_value=7),
        T.Resize((60, 55), Image.Resampling.NEAREST),
        T.RandomFlip(1.0),
    ]
    (image, boxes, *_), (late, late_boxes, *_) = augment_both(photo, augmentations, 0)
    np.testing.assert_array_equal(late, image)
    np.testing.assert_array_equal(late_boxes, boxes)


def test_who_decides_by_size():
    crop, look = RandomSquareCrop(0.5, 1.0), Look()
    sampling = AnchorSampling([16, 32], 64, (0, 0, 0))
    for augmentation in (crop, sampling, T.RandomFlip(), T.ResizeShortestEdge(64)):
        assert decides_by_size(augmentation)
    for kind in (T.RandomApply, lambda x: T.AugmentationList([crop, x])):
        assert decides_by_size(kind(crop)) and not decides_by_size(kind(look))
    assert decides_by_size(RandomChoice(crop, sampling, 0.5))
    assert not decides_by_size(RandomChoice(crop, look, 0.5))
    for augmentation in (look, T.RandomContrast(0.5, 1.5), T.RandomRotation([5.0])):
        assert not decides_by_size(augmentation)


def test_asking_for_pixels_after_all_is_told_with_a_remedy(photo):
    look = Look()
    look.decides_by_size = True
    look.get_transform = lambda image: image.mean()
    with pytest.raises(AttributeError, match="'mean'.*leave decides_by_size out"):
        DeferredAugmentations([look])(DeferredInput(ImageFile(photo, "RGB")))


def test_only_what_is_left_is_decoded_and_once(photo, monkeypatch):
    calls = []
    for name in ("decode", "read_window"):
        method = getattr(ImageFile, name)
        monkeypatch.setattr(
            ImageFile,
            name,
            lambda self, *args, m=method, n=name: calls.append((n, *args)) or m(self, *args),
        )
    augmentations = [
        T.CropTransform(20, 10, 200, 200),
        T.Resize(50),
        T.RandomFlip(1.0),
        PhotometricDistortion("RGB"),
    ]
    inputs = DeferredInput(ImageFile(photo, "RGB"), BOXES.copy())
    DeferredAugmentations(augmentations)(inputs)
    assert inputs.read_pixels() is inputs.image
    assert calls == [("read_window", (20, 10, 220, 210), (50, 50)), ("decode", 4)]
