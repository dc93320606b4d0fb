"""The box loss against its formula, one number at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform

from df2s2_d2.modeling.losses import box_loss, level_box_loss
from df2s2_d2.modeling.losses import boxes as box_losses
from df2s2_d2.modeling.losses.boxes import encode_boxes
from tests.modeling import references, scenes


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_codes_are_those_of_detectron2(weights):
    rng = np.random.default_rng(0)
    boxes = torch.from_numpy(scenes.random_faces(rng, 50, (500, 500)))
    half = len(boxes) // 2
    anchors, faces = boxes[:half], boxes[half : 2 * half]
    transform = Box2BoxTransform(weights)
    codes = encode_boxes(anchors, faces, torch.tensor(weights))
    torch.testing.assert_close(codes, transform.get_deltas(anchors, faces), rtol=1e-5, atol=1e-5)


def test_code_of_a_box_worked_out_by_hand():
    code = encode_boxes(
        torch.tensor([0.0, 0, 10, 20]), torch.tensor([5.0, 0, 25, 10]), torch.ones(4)
    )
    np.testing.assert_allclose(code, [1.0, -0.25, np.log(2), -np.log(2)], rtol=1e-6)


@pytest.mark.parametrize("beta", [1 / 9, 1.0])
def test_box_loss_is_smooth_l1_of_the_code(beta):
    anchors = torch.tensor([[0.0, 0, 16, 16], [10, 10, 26, 34], [5, 5, 9, 9]])
    boxes = torch.tensor([[[1.0, 2, 17, 16], [0, 0, 40, 40], [0, 0, 0, 0]]])
    deltas = torch.tensor([[[0.1, 0.0, -0.5, 2.0], [0.0, 0.0, 0.3, 0.3], [9.0, 9, 9, 9]]])
    positive = torch.tensor([[True, True, False]])
    loss = box_loss(deltas, anchors, boxes, positive, torch.ones(4), beta)
    expected = [
        sum(
            references.smooth_l1(delta - target, beta)
            for delta, target in zip(
                deltas[0, row].tolist(),
                references.box_code(anchors[row].numpy(), boxes[0, row].numpy()),
                strict=True,
            )
        )
        for row in range(2)
    ]
    np.testing.assert_allclose(loss, [[*expected, 0]], rtol=1e-5)


def test_anchors_without_a_face_have_a_finite_gradient():
    deltas = torch.zeros(1, 2, 4, requires_grad=True)
    anchors = torch.tensor([[0.0, 0, 16, 16], [0, 0, 16, 16]])
    no_boxes = torch.zeros(1, 2, 4)
    box_loss(
        deltas, anchors, no_boxes, torch.zeros(1, 2).bool(), torch.ones(4), 0.1
    ).sum().backward()
    assert (deltas.grad == 0).all()


def test_box_losses_of_a_level_are_those_of_its_positive_anchors(monkeypatch):
    """On a CPU only they are computed, elsewhere all: sums and gradients are the same."""
    generator = torch.Generator().manual_seed(0)
    grid = scenes.generator(strides=[16]).grids([(4, 5)])[0]
    positive = torch.rand(2, len(grid), generator=generator) < 0.1
    owners = torch.randint(3, positive.shape, generator=generator).masked_fill(~positive, 3)
    faces = torch.tensor([[3.0, 4, 30, 33], [20, 10, 60, 60], [0, 0, 64, 64], [0, 0, 0, 0]])
    deltas = torch.randn(2, 24, 4, 5, generator=generator).requires_grad_()
    weights, beta = torch.tensor([1.0, 1, 2, 2]), 1 / 9
    flat = deltas.unflatten(1, (6, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
    expected = box_loss(flat, grid.boxes(), faces[owners], positive, weights, beta).sum()
    (gradient,) = torch.autograd.grad(expected, deltas)
    for selecting in (True, False):
        monkeypatch.setattr(box_losses, "can_select", lambda device, value=selecting: value)
        loss = level_box_loss(deltas, grid, owners, positive, faces, weights, beta)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(torch.autograd.grad(loss, deltas)[0], gradient)
