"""Targets and losses beside detectron2's RetinaNet, with spare boxes, and compiled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from benchmarks.targets_and_losses import Problem
from df2s2_d2.modeling import HeadOutputs
from df2s2_d2.modeling.targets import GroundTruth
from tests.modeling import references, scenes
from tests.modeling.test_shot import ground_truth, make_outputs, make_shot

CPU = torch.device("cpu")


def gradients(losses: dict[str, torch.Tensor], outputs: HeadOutputs) -> list[torch.Tensor]:
    predictions = [x for maps in outputs if maps is not None for x in maps]
    return torch.autograd.grad(sum(losses.values()), predictions)


@pytest.mark.parametrize("num_faces", [1, 30])
def test_labels_losses_and_gradients_equal_those_of_retinanet(num_faces):
    problem = Problem(num_faces, batch_size=2, size=(256, 256), seed=1, device=CPU)
    targets = problem.our_targets()
    labels, owners = targets.matches.labels, targets.matches.faces
    # RetinaNet's label of a face is its class, 0, and that of background the one behind it.
    labels = torch.where(labels < 0, -1, 1 - labels)
    assert {-1, 0, 1} == set(labels.unique().tolist())
    doubtful = np.zeros(labels.shape, bool)
    anchors = torch.cat([grid.boxes() for grid in problem.grids]).double().numpy()
    for image, inputs in enumerate(problem.batch):
        faces = inputs["instances"].gt_boxes.tensor.double().numpy()
        *_, doubtful[image] = references.match_image(anchors, faces, (256, 256), (0.4, 0.5), True)
    their_labels, their_boxes = map(torch.stack, problem.their_targets())
    sure = torch.from_numpy(~doubtful)
    assert sure.float().mean() > 0.99
    assert torch.equal(labels[sure].long(), their_labels[sure])
    sure &= labels == 0
    boxes = torch.cat((problem.ground_truth.faces, torch.zeros(1, 4)))[owners]
    assert torch.equal(boxes[sure], their_boxes[sure])

    # Equal fits may part; on the same targets the losses and their gradients are the same.
    ours = problem.our_losses(targets)
    theirs = problem.their_losses((list(labels.long()), list(boxes)))
    assert ours.keys() == theirs.keys()
    for name, loss in theirs.items():
        torch.testing.assert_close(ours[name], loss, rtol=1e-5, atol=0)
    pairs = zip(gradients(ours, problem.outputs), gradients(theirs, problem.outputs), strict=True)
    for our_gradient, their_gradient in pairs:
        torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("assignment", ["matching", "scale"])
def test_spare_boxes_change_nothing(assignment):
    shot, outputs = make_shot(("WEAK_MASK.ASSIGNMENT", assignment)), make_outputs()
    for truth in (ground_truth(), ground_truth(faces=[[], []], regions=[[], []])):
        losses = shot.losses(outputs, truth)
        assert shot.losses(outputs, truth.with_spare_boxes()) == losses


def test_compiled_losses_are_the_same_for_any_number_of_faces_and_regions():
    shot = make_shot(("IN_FEATURES", ["p4", "p5"]))
    outputs = HeadOutputs(*(maps[2:4] for maps in make_outputs()))
    torch._dynamo.reset()
    counters.clear()
    compiled = torch.compile(shot.losses, backend="eager", fullgraph=True)
    rng = np.random.default_rng(0)
    for num_faces, num_regions in [(7, 1), (0, 0), (1, 3), (2, 1), (40, 0), (0, 2), (300, 5)]:
        faces = [scenes.random_faces(rng, num_faces, (128, 128)), []]
        regions = [[], scenes.random_faces(rng, num_regions, (101, 90))]
        truth: GroundTruth = ground_truth(faces, regions).with_spare_boxes()
        losses, expected = compiled(outputs, truth), shot.losses(outputs, truth)
        assert losses.keys() == expected.keys() == {"loss_cls", "loss_box_reg", "loss_mask"}
        for name, loss in expected.items():
            torch.testing.assert_close(losses[name], loss, rtol=1e-6, atol=1e-7)
        pairs = zip(gradients(losses, outputs), gradients(expected, outputs), strict=True)
        for gradient, expected_gradient in pairs:
            torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-8)
    # One for the lengths of the first batch, and at most one each for other faces and regions.
    assert 1 <= counters["stats"]["unique_graphs"] <= 3
    assert not counters["graph_break"]
    torch._dynamo.reset()
