"""Views of images beside the transforms that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from detectron2.data import transforms as T
from PIL import Image

from df2s2_d2.data.augmentation import PhotometricTransform, SquareWindowTransform
from df2s2_d2.data.augmentation.image_view import ImageView

HEIGHT, WIDTH = 30, 40
# Each pixel tells its own place.
PLACES = np.stack([*np.mgrid[:HEIGHT, :WIDTH], np.zeros((HEIGHT, WIDTH), int)], axis=2)
PLACES = PLACES.astype(np.uint8)


def follow(transforms: list[T.Transform]) -> ImageView | None:
    return ImageView.whole((HEIGHT, WIDTH)).then(T.TransformList(transforms))


def shown(view: ImageView) -> np.ndarray:
    """What a view without a resize shows of ``PLACES``."""
    left, top, right, bottom = view.source
    part = PLACES[top:bottom, left:right]
    return part[:: -1 if view.upside_down else 1, :: -1 if view.mirrored else 1]


def test_crops_and_mirrorings_in_any_order():
    random = np.random.default_rng(0)
    num_steps = 0
    for _ in range(100):
        transforms, image = [], PLACES
        for _ in range(random.integers(1, 6)):
            height, width = image.shape[:2]
            x0, y0 = random.integers(0, width), random.integers(0, height)
            # Crops that end with the image among them.
            w, h = random.integers(1, width + 1), random.integers(1, height + 1)
            transforms.append(
                [
                    T.CropTransform(x0, y0, w, h),
                    T.HFlipTransform(width),
                    T.VFlipTransform(height),
                    T.NoOpTransform(),
                ][random.integers(4)]
            )
            image = transforms[-1].apply_image(image).copy()
            num_steps += 1
        view = follow(transforms)
        np.testing.assert_array_equal(shown(view), image)
        assert view.size == image.shape[:2] and view.place == (0, 0, view.size[1], view.size[0])
    assert num_steps > 200


def test_a_crop_and_a_resize():
    view = follow([T.CropTransform(5, 6, 20, 10), T.ResizeTransform(10, 20, 50, 60)])
    assert view == ImageView(source=(5, 6, 25, 16), place=(0, 0, 60, 50), size=(50, 60))
    mirrored = view.then(T.HFlipTransform(60))
    assert mirrored.mirrored and mirrored.source == view.source
    # To the size that it has already.
    assert view.then(T.ResizeTransform(50, 60, 50, 60)) == view


def test_a_window_beyond_the_image():
    window = SquareWindowTransform(-10, 5, 50, 25, (1.0, 2.0, 3.0))
    view = follow([window, T.ResizeTransform(25, 25, 25, 25), T.HFlipTransform(25)])
    # Pixels 0 to 40 of 50 shown, and rows 5 to 30: a half of their number, from the fifth column.
    assert view == ImageView(
        source=(0, 5, 40, 29),
        place=(5, 0, 25, 12),
        size=(25, 25),
        fill=(1.0, 2.0, 3.0),
        mirrored=True,
    )


class DoubledCrop(T.CropTransform):
    def apply_image(self, img: np.ndarray) -> np.ndarray:
        return super().apply_image(img) * 2


@pytest.mark.parametrize(
    "transforms",
    [
        [PhotometricTransform("RGB")],
        [T.PadTransform(1, 1, 1, 1)],
        [T.RotationTransform(HEIGHT, WIDTH, 20)],
        [T.ResizeTransform(HEIGHT, WIDTH, 10, 10, Image.Resampling.NEAREST)],
        # Two resamplings, and parts of pixels.
        [T.ResizeTransform(HEIGHT, WIDTH, 10, 10), T.ResizeTransform(10, 10, 20, 20)],
        [T.ResizeTransform(HEIGHT, WIDTH, 11, 11), T.CropTransform(1, 1, 5, 5)],
        [T.HFlipTransform(WIDTH), SquareWindowTransform(0, 0, 10, 10, (0, 0, 0))],
        [SquareWindowTransform(0, 0, 10, 10, (0, 0, 0)), T.CropTransform(1, 1, 5, 5)],
        [T.CropTransform(-1, 0, 5, 5)],
        [T.CropTransform(0, 0, 0, 5)],
        [DoubledCrop(0, 0, 5, 5)],
    ],
    ids=lambda transforms: "-".join(type(x).__name__ for x in transforms),
)
def test_what_needs_pixels_is_no_view(transforms):
    assert follow(transforms) is None
    assert follow([T.NoOpTransform(), T.TransformList(transforms)]) is None
