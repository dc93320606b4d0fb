"""Annotations of a batch as tensors."""

from __future__ import annotations

import torch

from df2s2_d2.modeling.targets import GroundTruth
from tests.modeling import scenes

CPU = torch.device("cpu")


def test_boxes_of_all_images_in_one_list():
    batch = [
        scenes.mapped_image((30, 40), [[1, 2, 3, 4], [5, 6, 9, 9]]),
        scenes.mapped_image((10, 20)),
        scenes.mapped_image((50, 60), [[0, 0, 50, 60]], ignore_regions=[[1, 1, 9, 9]]),
    ]
    truth = GroundTruth.from_batch(batch, [(30, 40), (10, 20), (50, 60)], CPU)
    assert truth.faces.tolist() == [[1, 2, 3, 4], [5, 6, 9, 9], [0, 0, 50, 60]]
    assert truth.face_images.tolist() == [0, 0, 2]
    assert truth.regions.tolist() == [[1, 1, 9, 9]]
    assert truth.region_images.tolist() == [2]
    assert truth.image_sizes.tolist() == [[30, 40], [10, 20], [50, 60]]
    assert truth.faces.dtype == truth.regions.dtype == torch.float32
    assert truth.face_images.dtype == truth.image_sizes.dtype == torch.int64


def test_boxes_without_an_area_are_left_out():
    boxes = [[5, 5, 5, 9], [5, 5, 9, 5], [9, 9, 5, 5], [5, 5, 9, 9]]
    batch = [scenes.mapped_image((30, 40), boxes, ignore_regions=boxes)]
    truth = GroundTruth.from_batch(batch, [(30, 40)], CPU)
    assert truth.faces.tolist() == truth.regions.tolist() == [[5, 5, 9, 9]]
    assert truth.face_images.tolist() == truth.region_images.tolist() == [0]


def test_a_batch_without_annotations():
    truth = GroundTruth.from_batch([scenes.mapped_image((30, 40))], [(30, 40)], CPU)
    assert truth.faces.shape == truth.regions.shape == (0, 4)
    assert truth.face_images.shape == truth.region_images.shape == (0,)


def test_spare_boxes_have_no_area_and_come_last():
    batch = [scenes.mapped_image((30, 40), [[1, 2, 3, 4]]), scenes.mapped_image((30, 40))]
    truth = GroundTruth.from_batch(batch, [(30, 40)] * 2, CPU)
    spared = truth.with_spare_boxes()
    assert spared.faces.tolist() == [[1, 2, 3, 4], [0] * 4, [0] * 4]
    assert spared.regions.tolist() == [[0] * 4] * 2
    assert spared.face_images.tolist() == [0] * 3 and spared.region_images.tolist() == [0] * 2
    assert spared.image_sizes is truth.image_sizes
