"""Classification losses against their formulas and a slow search for hard negatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode

from df2s2_d2 import load_config
from df2s2_d2.modeling.losses import FocalLoss, MinedSoftmaxLoss, build_classification_loss
from tests.modeling import references

ALL_OF = torch.ones(2, 6, dtype=torch.bool)


def test_focal_loss_equals_its_formula():
    logits = torch.tensor([[-5.0, -1.0, 0.0, 0.3, 2.0, 6.0]]).repeat(2, 1)
    positive = torch.tensor([[True], [False]]).expand(2, 6)
    for alpha, gamma in [(0.25, 2.0), (0.6, 1.0)]:
        losses, participating = FocalLoss(alpha, gamma)(logits, positive, ALL_OF)
        expected = [
            [references.focal(logit, label, alpha, gamma) for logit in logits[0].tolist()]
            for label in (True, False)
        ]
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        assert participating.all()


def test_focal_loss_of_one_half():
    # 0.25 · 0.5² · ln 2 and 0.75 · 0.5² · ln 2
    both = torch.ones(1, 2, dtype=torch.bool)
    losses, _ = FocalLoss(0.25, 2.0)(torch.zeros(1, 2), torch.tensor([[True, False]]), both)
    np.testing.assert_allclose(losses, [[0.0433217, 0.1299651]], rtol=1e-5)


def test_anchors_left_out_have_no_focal_loss():
    participating = torch.tensor([[True, False, True]])
    losses, _ = FocalLoss(0.25, 2.0)(torch.ones(1, 3), torch.zeros(1, 3).bool(), participating)
    assert (losses > 0).tolist() == participating.tolist()


def slow_mined_loss(
    logits: list[float], positive: list[bool], participating: list[bool], ratio: float, alone: int
) -> tuple[list[float], list[bool]]:
    """One image: two scores a class, softmax, negatives taken one after the other by their loss."""
    losses = []
    for logit, label in zip(logits, positive, strict=True):
        background, face = np.exp(-logit / 3), np.exp(2 * logit / 3)  # scores -x/3 and 2x/3
        losses.append(-np.log((face if label else background) / (background + face)))
    negatives = [i for i, label in enumerate(positive) if participating[i] and not label]
    negatives.sort(key=lambda i: -losses[i])
    num_positive = sum(positive)
    wanted = int(ratio * num_positive) if num_positive else alone
    used = {i for i, label in enumerate(positive) if label} | set(negatives[:wanted])
    return (
        [loss if i in used else 0.0 for i, loss in enumerate(losses)],
        [i in used for i in range(len(losses))],
    )


def test_mined_softmax_equals_a_slow_search():
    rng = np.random.default_rng(0)
    num_anchors = 200
    logits = rng.normal(size=(6, num_anchors)) * 3
    positive = rng.random((6, num_anchors)) < 0.05
    positive[1] = False  # no face
    positive[2] = True  # nothing but faces
    positive[3] = rng.random(num_anchors) < 0.6  # fewer negatives than 3 : 1 asks for
    participating = positive | (rng.random((6, num_anchors)) < 0.9)
    participating[4] = positive[4]  # all background left out
    for ratio, faceless in [(3.0, 100), (1.5, 7), (3.0, 0), (3.0, 1000)]:
        losses, used = MinedSoftmaxLoss(ratio, faceless)(
            torch.tensor(logits), torch.tensor(positive), torch.tensor(participating)
        )
        for image in range(6):
            expected, expected_used = slow_mined_loss(
                logits[image], positive[image], participating[image], ratio, faceless
            )
            np.testing.assert_allclose(losses[image], expected, rtol=1e-6, atol=1e-12)
            assert used[image].tolist() == expected_used


def test_mining_is_each_images_own():
    logits = torch.tensor([[0.0, 5, 4, 3, 2, 1], [0.0, -5, -4, -3, -2, -1]])
    positive = torch.tensor([[True] + [False] * 5] * 2)
    _, used = MinedSoftmaxLoss(3, 100)(logits, positive, ALL_OF)
    assert used.tolist() == [[True] * 4 + [False] * 2, [True, False, False, True, True, True]]


def test_negatives_that_are_not_mined_have_no_gradient():
    logits = torch.tensor([[1.0, 2.0, 0.5, -1.0, 0.0, 0.0]], requires_grad=True)
    positive = torch.tensor([[True, False, False, False, False, False]])
    losses, used = MinedSoftmaxLoss(2, 100)(logits, positive, ALL_OF[:1])
    losses.sum().backward()
    assert used.tolist() == [[True, True, True, False, False, False]]
    assert (logits.grad != 0).tolist() == used.tolist()


def loss_node(*overrides) -> CfgNode:
    keys = [f"MODEL.SHOT.LOSS.{key}" if i % 2 == 0 else key for i, key in enumerate(overrides)]
    return load_config(overrides=keys).MODEL.SHOT.LOSS


def test_config_chooses_the_loss():
    focal = build_classification_loss(loss_node("FOCAL_ALPHA", 0.3, "FOCAL_GAMMA", 1.0))
    assert (focal.alpha, focal.gamma) == (0.3, 1.0)
    mined = build_classification_loss(
        loss_node("CLASSIFICATION", "mined_softmax", "NEGATIVE_RATIO", 2.0)
    )
    assert (mined.negative_ratio, mined.negatives_without_face) == (2.0, 100)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("CLASSIFICATION", "hinge"), "CLASSIFICATION must be 'focal' or 'mined_softmax'"),
        (("CLASSIFICATION", "mined_softmax", "NEGATIVE_RATIO", 0.0), "NEGATIVE_RATIO must be"),
        (
            ("CLASSIFICATION", "mined_softmax", "NEGATIVES_WITHOUT_FACE", -1),
            "NEGATIVES_WITHOUT_FACE not negative",
        ),
    ],
)
def test_impossible_losses_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        build_classification_loss(loss_node(*overrides))
