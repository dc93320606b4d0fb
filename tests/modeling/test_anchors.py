"""Anchors: sizes, shapes, order and places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.modeling import references, scenes


def test_boxes_are_those_of_detectron2():
    generator = scenes.generator()
    sizes = scenes.map_sizes((256, 384))
    expected = generator([torch.zeros(1, 1, *size) for size in sizes])
    for grid, boxes in zip(generator.grids(sizes), expected, strict=True):
        torch.testing.assert_close(grid.boxes(), boxes.tensor, rtol=0, atol=1e-4)


@pytest.mark.parametrize("octaves", [[1.0], [2 ** (-1 / 3), 1.0, 2 ** (1 / 3)], scenes.OCTAVES])
def test_boxes_equal_the_slow_reference(octaves):
    sizes = scenes.map_sizes((128, 256))
    grids = scenes.generator(octaves=octaves).grids(sizes)
    expected = references.anchor_boxes(sizes, scenes.STRIDES, 4.0, octaves, scenes.RATIOS)
    for grid, boxes in zip(grids, expected, strict=True):
        np.testing.assert_allclose(grid.boxes().numpy(), boxes, atol=2e-4)


def test_six_shapes_per_cell_keep_their_area_and_ratio():
    for grid, stride in zip(scenes.grids_of([(128, 128)]), scenes.STRIDES, strict=True):
        width, height = grid.shapes.double().unbind(dim=1)
        base = 4 * stride
        expected_areas = np.repeat([base**2, base**2 * 2 ** (2 / 3), base**2 * 2 ** (4 / 3)], 2)
        np.testing.assert_allclose(width * height, expected_areas, rtol=1e-5)
        np.testing.assert_allclose(height / width, [1, 1.5] * 3, rtol=1e-5)
        assert grid.max_shape == pytest.approx((width.max().item(), height.max().item()))


def test_centers_lie_in_the_middle_of_the_cells():
    grid = scenes.grids_of([(128, 256)])[3]
    xs, ys = grid.centers()
    assert xs.tolist() == [16, 48, 80, 112, 144, 176, 208, 240]
    assert ys.tolist() == [16, 48, 80, 112]


def test_number_of_cells_on_a_training_image():
    grids = scenes.grids_of([(640, 640)])
    assert sum(grid.height * grid.width for grid in grids) == 34125
    assert sum(len(grid) for grid in grids) == 34125 * 6


def test_cells_in_the_padding_are_outside():
    grid = scenes.grids_of([(128, 128)])[3]  # centres at 16, 48, 80 and 112
    columns, rows = grid.inside(torch.tensor([[48, 113], [49, 16], [128, 128]]))
    assert columns.int().tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]]
    assert rows.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]


def test_boxes_at_places_are_those_of_the_whole_grid():
    grid = scenes.generator(strides=[16]).grids([(3, 5)])[0]
    rows, columns, shapes = torch.cartesian_prod(*map(torch.arange, (3, 5, 6))).unbind(dim=1)
    assert torch.equal(grid.boxes_at(rows, columns, shapes), grid.boxes())
    assert torch.equal(grid.boxes_at(rows[7:8], columns[7:8], shapes[7:8]), grid.boxes()[7:8])
