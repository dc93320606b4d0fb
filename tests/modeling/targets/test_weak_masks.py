"""Weak masks against painting one box and one cell at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from df2s2_d2.modeling.targets import BACKGROUND, IGNORED, POSITIVE, Matches
from df2s2_d2.modeling.targets.weak_masks import (
    cells_in_regions,
    faces_by_matching,
    faces_by_scale,
    rasterize_weak_mask,
)
from tests.modeling import references, scenes

IMAGE_SIZES = [(128, 128), (101, 70), (40, 30)]
GRIDS = scenes.grids_of(IMAGE_SIZES)


def rasterize(level: int, faces_per_image: list[np.ndarray], chosen=None) -> np.ndarray:
    faces, images = scenes.flat(faces_per_image)
    chosen = torch.ones(len(faces), dtype=torch.bool) if chosen is None else chosen
    image_sizes = torch.tensor(IMAGE_SIZES)
    return rasterize_weak_mask(GRIDS[level], faces, chosen, images, image_sizes).numpy()


@pytest.mark.parametrize("level", range(5))
@pytest.mark.parametrize("seed", range(3))
def test_masks_equal_the_slow_reference(level, seed):
    stride = scenes.STRIDES[level]
    rng = np.random.default_rng(seed)
    # Boxes of at least a cell, so that whether a centre lies inside is all that counts.
    batch = [
        scenes.random_faces(rng, 6, size, sides=(1.1 * stride, 4 * stride)) for size in IMAGE_SIZES
    ]
    batch = [boxes[(boxes[:, 2:] - boxes[:, :2] >= stride).all(axis=1)] for boxes in batch]
    chosen = [rng.random(len(boxes)) < 0.6 for boxes in batch]
    masks = rasterize(level, batch, torch.from_numpy(np.concatenate(chosen)))
    for mask, boxes, wanted, image_size in zip(masks, batch, chosen, IMAGE_SIZES, strict=True):
        expected = references.weak_mask(boxes[wanted], mask.shape, stride, image_size)
        np.testing.assert_array_equal(mask, expected)


def test_overlapping_boxes_are_painted_as_their_union():
    # Centres of the cells lie at 16, 48, 80 and 112.
    mask = rasterize(3, [[[10, 10, 60, 60], [40, 40, 90, 90]], [], []])[0]
    assert mask.astype(int).tolist() == [
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]


def test_a_cell_centred_on_a_box_edge_is_on_at_the_left_and_top_only():
    # Centres of the cells lie at 16, 48, 80 and 112.
    mask = rasterize(3, [[[16, 48, 80, 112]], [], []])[0]
    assert np.argwhere(mask).tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    regions, images = scenes.flat([[[16, 48, 80, 112]], [], []])
    np.testing.assert_array_equal(cells_in_regions(GRIDS[3], regions, images, 3)[0], mask)


def test_a_cell_centred_on_the_edge_of_its_image_is_off():
    # The image ends at 48, the centre of the second cell in x and in y.
    faces, images = scenes.flat([[[0, 0, 128, 128]]])
    mask = rasterize_weak_mask(
        GRIDS[3], faces, torch.tensor([True]), images, torch.tensor([[48, 48]])
    )
    assert np.argwhere(mask[0].numpy()).tolist() == [[0, 0]]


def test_many_overlapping_boxes_are_on_wherever_one_is():
    rng = np.random.default_rng(7)
    boxes = scenes.random_faces(rng, 300, (128, 128), sides=(4, 200))
    expected = references.weak_mask(boxes, (16, 16), 8, (128, 128))
    np.testing.assert_array_equal(rasterize(1, [boxes, [], []])[0], expected)


def test_boxes_without_an_area_belong_to_no_scale():
    faces = torch.tensor([[5.0, 5, 5, 9], [0, 0, 0, 0], [5, 5, 9, 9]])
    chosen = faces_by_scale(faces, scenes.generator().sizes)
    assert chosen.any(dim=1).tolist() == [False, False, True]


def test_a_box_between_the_centres_turns_on_the_nearest_cell():
    mask = rasterize(3, [[[50, 82, 56, 88]], [], []])[0]
    assert np.argwhere(mask).tolist() == [[2, 1]]


def test_a_thin_box_between_the_centres_turns_on_the_nearest_cell_only():
    # Columns 16 ... 112 lie in the box, no row does; its centre is (60, 53).
    mask = rasterize(3, [[[2, 50, 118, 56]], [], []])[0]
    assert np.argwhere(mask).tolist() == [[1, 1]]


@pytest.mark.parametrize("level", range(4))  # coarser levels have no cell inside 40 x 30
def test_every_face_turns_on_a_cell_inside_its_image(level):
    batch = [
        scenes.random_faces(np.random.default_rng(image), 20, size, sides=(1.5, 30))
        for image, size in enumerate(IMAGE_SIZES)
    ]
    for image, faces in enumerate(batch):
        for face in faces:
            alone = [face[None] if index == image else [] for index in range(3)]
            mask = rasterize(level, alone)
            assert mask[image].any()
            assert mask.sum() == mask[image].sum()


def test_a_face_that_reaches_over_the_edge_turns_on_a_cell_inside_its_image():
    # Image 1 is 70 wide: the last centre inside is 66; the box holds only 70, in the padding.
    mask = rasterize(0, [[], [[68, 50, 72, 60]], []])[1]
    assert mask.any() and not mask[:, 17:].any()


def test_nothing_is_on_in_the_padding():
    everywhere = [[0, 0, 128, 128]]
    for level, stride in enumerate(scenes.STRIDES):
        for mask, (height, width) in zip(
            rasterize(level, [everywhere] * 3), IMAGE_SIZES, strict=True
        ):
            rows = (np.arange(mask.shape[0]) + 0.5) * stride < height
            columns = (np.arange(mask.shape[1]) + 0.5) * stride < width
            np.testing.assert_array_equal(mask, rows[:, None] & columns)


def test_without_faces_nothing_is_on():
    assert not rasterize(0, [[], [], []]).any()


def test_faces_belong_to_the_levels_that_have_a_positive_anchor_of_theirs():
    grids = scenes.generator(strides=[32, 64], octaves=[1.0], aspect_ratios=[1.0]).grids(
        [(1, 2), (1, 1)]
    )
    labels = torch.tensor(
        [[POSITIVE, BACKGROUND, POSITIVE], [IGNORED, POSITIVE, BACKGROUND]], dtype=torch.int8
    )
    faces = torch.tensor([[0, 4, 2], [4, 2, 4]])  # of 4 faces; the last one has no anchor
    chosen = faces_by_matching(Matches(labels, faces), grids, num_faces=4)
    assert chosen.tolist() == [[True, False], [False, False], [True, True], [False, False]]


def test_faces_belong_to_the_levels_of_their_scale():
    generator = scenes.generator()
    sides = np.geomspace(2, 3000, 200)
    faces = np.stack([0 * sides, 0 * sides, sides * 0.8, sides / 0.8], axis=1)
    chosen = faces_by_scale(torch.tensor(faces, dtype=torch.float32), generator.sizes)
    expected = [
        [references.level_of_scale(face, scenes.STRIDES, level) for level in range(6)]
        for face in faces
    ]
    assert chosen.tolist() == expected
    assert chosen.any(dim=1).all()


def test_cells_in_ignored_regions():
    regions, images = scenes.flat([[[0, 0, 50, 30], [60, 60, 100, 90]], [], [[90, 0, 128, 128]]])
    cells = cells_in_regions(GRIDS[3], regions, images, 3).int()
    assert cells[0].tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert not cells[1].any()
    assert cells[2].tolist() == [[0, 0, 0, 1]] * 4
