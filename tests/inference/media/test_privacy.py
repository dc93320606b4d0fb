from __future__ import annotations

import cv2
import numpy as np
import pytest

from df2s2_d2.inference.media.privacy import STYLES, hide_faces


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)


def detail(region: np.ndarray) -> float:
    """Mean strength of edges."""
    return float(np.abs(cv2.Laplacian(region.astype(np.float32), cv2.CV_32F)).mean())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("side", [3, 8, 20, 60, 250])
def test_detail_of_a_face_of_any_size_is_destroyed(noise, style, side):
    hidden = hide_faces(noise, np.array([[20.0, 20, 20 + side, 20 + side]]), style)
    face = np.s_[20 : 20 + side, 20 : 20 + side]
    assert detail(hidden[face]) < 0.4 * detail(noise[face])


@pytest.mark.parametrize("style", STYLES)
def test_what_is_left_are_36_colours_at_most(style):
    """Images that differ in detail finer than the cells become the same."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(60, 200, (6, 6, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (240, 240), interpolation=cv2.INTER_NEAREST).astype(int)
    checks = 40 * (np.indices((240, 240)).sum(axis=0) % 2 * 2 - 1)[..., None]
    images = [(smooth + sign * checks).astype(np.uint8) for sign in (1, -1)]
    assert np.abs(images[0].astype(int) - images[1]).min() == 80
    # With the margin of 0.2 on each side, this face fills the image.
    box = np.array([[240 / 7, 240 / 7, 240 * 6 / 7, 240 * 6 / 7]])
    hidden = [hide_faces(image, box, style).astype(int) for image in images]
    assert np.abs(hidden[0] - hidden[1]).max() <= 1


def test_only_fill_leaves_one_colour(noise):
    box = np.array([[100.0, 100, 200, 200]])
    counts = {
        style: len(
            np.unique(hide_faces(noise, box, style)[100:200, 100:200].reshape(-1, 3), axis=0)
        )
        for style in STYLES
    }
    assert counts["fill"] == 1
    assert 9 <= counts["pixelate"] <= 36
    assert counts["smooth"] > 36


@pytest.mark.parametrize("style", STYLES)
def test_pixels_around_stay_as_they_are(noise, style):
    before = noise.copy()
    hidden = hide_faces(noise, np.array([[100.0, 100, 200, 200], [390, 290, 420, 320]]), style)
    np.testing.assert_array_equal(noise, before)
    changed = (hidden != noise).any(axis=2)
    # The margin is a fifth of the face on each side.
    assert changed[80:220, 80:220].mean() > 0.95
    changed[80:220, 80:220] = changed[284:, 384:] = False
    assert not changed.any()


def test_overlapping_faces_are_all_hidden(noise):
    boxes = np.array([[50.0, 50, 150, 150], [100, 100, 200, 200], [110, 110, 120, 120]])
    hidden = hide_faces(noise, boxes)
    for x1, y1, x2, y2 in boxes.astype(int):
        assert detail(hidden[y1:y2, x1:x2]) < 0.4 * detail(noise[y1:y2, x1:x2])


def test_unsound_box_is_no_reason_to_show_the_face(noise):
    with pytest.raises(ValueError, match="not finite"):
        hide_faces(noise, np.array([[0.0, 0, 50, 50], [0, np.nan, 10, 10]]))


def test_unknown_style_is_refused(noise):
    with pytest.raises(ValueError, match="one of 'pixelate', 'smooth', 'fill', found 'blur'"):
        hide_faces(noise, np.zeros((0, 4)), "blur")
