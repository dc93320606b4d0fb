"""Candidates to detections, on boxes small enough to work out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from df2s2_d2.modeling.postprocessing import (
    Detections,
    resize_detections,
    select_detections,
    to_instances,
)


def select(boxes, scores, image_size=(100, 100), threshold=0.1, nms=0.4, maximum=10):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(1, -1, 4)
    scores = torch.tensor(scores, dtype=torch.float32).reshape(1, -1)
    sizes = torch.tensor([image_size])
    found = select_detections(boxes, scores, sizes, threshold, nms, maximum)
    return to_instances(found, [image_size])[0]


def test_of_overlapping_boxes_the_best_is_kept():
    boxes = [
        [0, 0, 10, 10],
        [0, 0, 10, 8],  # IoU 0.8 with the first
        [0, 6.5, 10, 16.5],  # IoU 0.35 / 1.65 = 0.21 with the first
        [0, 7, 10, 17],  # IoU 0.95 / 1.05 with the third
        [50, 50, 60, 60],
    ]
    kept = select(boxes, [0.9, 0.8, 0.5, 0.7, 0.95])
    np.testing.assert_allclose(kept.scores, [0.95, 0.9, 0.7], rtol=1e-6)
    assert kept.pred_boxes.tensor.tolist() == [boxes[4], boxes[0], boxes[3]]
    assert kept.pred_classes.tolist() == [0, 0, 0]
    assert kept.image_size == (100, 100)


def test_a_box_suppressed_by_another_suppresses_nothing_itself():
    chain = [[0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18]]  # neighbours: IoU 6 / 14 = 0.43
    assert len(select(chain, [0.9, 0.8, 0.7])) == 2
    assert len(select(chain, [0.9, 0.8, 0.7], nms=0.43)) == 3


def test_only_scores_above_the_threshold_are_kept():
    kept = select([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], [0.25, 0.5, 0.75], threshold=0.5)
    assert kept.scores.tolist() == [0.75]


def test_boxes_are_clipped_to_the_image():
    kept = select([[-5, -6, 30, 70]], [0.5], image_size=(60, 20))
    assert kept.pred_boxes.tensor.tolist() == [[0, 0, 20, 60]]


def test_boxes_that_clipping_empties_are_dropped():
    kept = select([[30, 0, 40, 10], [5, 5, 5, 9], [0, 0, 10, 10]], [0.9, 0.8, 0.7], (60, 20))
    assert kept.pred_boxes.tensor.tolist() == [[0, 0, 10, 10]]


def test_the_best_of_too_many_are_kept():
    boxes = [[20 * i, 0, 20 * i + 9, 9] for i in range(5)]
    kept = select(boxes, [0.5, 0.75, 0.25, 0.875, 0.625], maximum=2)
    assert kept.scores.tolist() == [0.875, 0.75]


def test_no_detection_is_no_error():
    for kept in (select([], []), select([[0, 0, 9, 9]], [0.05])):
        assert len(kept) == 0
        assert kept.pred_boxes.tensor.shape == (0, 4)


def test_images_are_independent():
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(2, 1, 1)
    sizes = [(100, 100), (4, 6)]
    found = select_detections(
        boxes, torch.tensor([[0.5], [0.25]]), torch.tensor(sizes), 0.1, 0.4, 10
    )
    first, second = to_instances(found, sizes)
    assert (first.scores.item(), second.scores.item()) == (0.5, 0.25)
    assert first.pred_boxes.tensor.tolist() == [[0, 0, 10, 10]]
    assert second.pred_boxes.tensor.tolist() == [[0, 0, 6, 4]]


@pytest.mark.parametrize("candidates", [100, 900], ids=["shifted boxes", "image by image"])
def test_an_image_in_a_batch_gets_the_detections_it_gets_alone(candidates):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(5, candidates, 2, generator=generator) * 1200
    sides = 4 + 30 * torch.rand(5, candidates, 2, generator=generator)
    boxes = torch.cat((corners, corners + sides), dim=2)
    boxes[:, 1::2] = boxes[:, ::2] + 2 * torch.rand(5, candidates // 2, 4, generator=generator)
    scores = torch.rand(5, candidates, generator=generator)
    scores[3] = 0  # nothing is found in this one
    sizes = [(800, 1200), (1000, 500), (640, 640), (900, 900), (1200, 1200)]

    def found(part):
        selected = select_detections(
            boxes[part], scores[part], torch.tensor(sizes[part]), 0.2, 0.4, 300
        )
        return to_instances(selected, sizes[part])

    together = found(slice(0, 5))
    for index, instances in enumerate(together):
        (alone,) = found(slice(index, index + 1))
        assert torch.equal(instances.pred_boxes.tensor, alone.pred_boxes.tensor)
        assert torch.equal(instances.scores, alone.scores)
        assert torch.equal(instances.scores, instances.scores.sort(descending=True).values)
    assert [len(instances) > 0 for instances in together] == [True, True, True, False, True]


def test_resized_detections_by_hand():
    detections = Detections(
        boxes=torch.tensor([[10.0, 20, 30, 50], [99.9, 0, 100, 50], [2, 4, 6, 8.5]]),
        scores=torch.tensor([0.9, 0.8, 0.7]),
        image_index=torch.tensor([0, 0, 1]),
    )
    before, after = torch.tensor([[50, 100], [10, 20]]), torch.tensor([[100, 50], [10, 20]])
    resized = resize_detections(detections, before, after)
    np.testing.assert_allclose(
        resized.boxes, [[5, 40, 15, 100], [49.95, 0, 50, 100], [2, 4, 6, 8.5]], rtol=1e-6
    )
    assert torch.equal(resized.scores, detections.scores)
    assert torch.equal(resized.image_index, detections.image_index)
    rounded = resize_detections(detections, before, after, round_boxes_outward=True)
    assert rounded.boxes.tolist() == [[5, 40, 15, 100], [49, 0, 50, 100], [2, 4, 6, 9]]
