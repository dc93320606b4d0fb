"""Anchors inside ignored regions against a slow reference."""

from __future__ import annotations

import numpy as np
import torch

from df2s2_d2.modeling.targets.ignored_regions import anchors_in_regions
from tests.modeling import references, scenes


def test_anchors_half_inside_one_region():
    regions = [
        np.array([[9.7, 9.3, 61.1, 120], [61.1, 9.3, 113.9, 120]]),
        np.array([[0, 0, 31.3, 37.1]]),
    ]
    boxes, image_index = scenes.flat(regions)
    grids = scenes.grids_of([(128, 128)])
    covered = anchors_in_regions(grids, boxes, image_index, num_images=2)
    anchors = np.concatenate(
        references.anchor_boxes(
            scenes.map_sizes((128, 128)), scenes.STRIDES, 4.0, scenes.OCTAVES, scenes.RATIOS
        )
    )
    for image, image_regions in enumerate(regions):
        expected = references.half_inside_one(anchors, image_regions)
        assert expected.any()
        np.testing.assert_array_equal(covered[image], expected)


def test_halves_of_two_regions_do_not_add_up():
    grids = scenes.generator(strides=[32], octaves=[1.0], aspect_ratios=[1.0]).grids([(1, 1)])
    # The anchor spans -48 ... 80; each region holds 40 % of it, together 80 %.
    regions = torch.tensor([[-48, -48, 80, 3.2], [-48, 3.2, 80, 54.4]])
    assert not anchors_in_regions(grids, regions, torch.tensor([0, 0]), 1).any()
    half = torch.tensor([[-48.0, -48, 80, 16]])
    assert anchors_in_regions(grids, half, torch.tensor([0]), 1).all()
