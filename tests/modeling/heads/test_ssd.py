"""The head of DSFD: one predictor a level, softmax as a difference, max-in-out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec

from df2s2_d2 import load_config
from df2s2_d2.modeling.heads import SSDHead, build_head

WIDTHS = [3, 5, 7]
SHAPES = {
    f"p{level}": ShapeSpec(channels=width, stride=2**level) for level, width in enumerate(WIDTHS, 2)
}


def make_head(num_anchors: int = 2, **options) -> SSDHead:
    torch.manual_seed(0)
    return SSDHead(input_shape=SHAPES, num_anchors=num_anchors, **options)


def maps() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(2, width, 16 >> level, 8 >> level, generator=generator)
        for level, width in enumerate(WIDTHS)
    ]


def test_shapes_of_the_predictions():
    outputs = make_head(predict_masks=True)(maps())
    for level in range(3):
        size = (16 >> level, 8 >> level)
        assert outputs.logits[level].shape == (2, 2, *size)
        assert outputs.deltas[level].shape == (2, 8, *size)
        assert outputs.masks[level].shape == (2, 1, *size)
    assert make_head()(maps()).masks is None
    assert make_head(predict_masks=True).eval()(maps()).masks is None


@pytest.mark.parametrize("max_in_out", [False, True])
def test_sigmoid_of_the_logit_is_the_softmax_over_the_scores(max_in_out):
    head, features = make_head(max_in_out=max_in_out), maps()
    logits = head(features).logits
    for level, x in enumerate(features):
        # One anchor after the other: background scores first, then face scores.
        num_background, num_face = ((3, 1), (1, 3), (1, 3))[level] if max_in_out else (1, 1)
        scores = head.face_logits[level].scores(x)
        assert scores.shape[1] == 2 * (num_background + num_face)
        for anchor in range(2):
            own = scores[:, anchor * (num_background + num_face) :][:, : num_background + num_face]
            background = own[:, :num_background].max(dim=1).values
            face = own[:, num_background:].max(dim=1).values
            softmax = F.softmax(torch.stack((background, face)), dim=0)[1]
            torch.testing.assert_close(logits[level][:, anchor].sigmoid(), softmax)


@pytest.mark.parametrize("max_in_out", [False, True])
def test_every_anchor_starts_with_the_prior(max_in_out):
    head = make_head(prior_prob=0.01, max_in_out=max_in_out)
    logits = head([torch.zeros_like(x) for x in maps()]).logits
    assert all(torch.allclose(x.sigmoid(), torch.tensor(0.01)) for x in logits)


def test_levels_share_nothing():
    head, features = make_head(predict_masks=True), maps()
    outputs = head(features)
    (outputs.logits[1].sum() + outputs.deltas[1].sum() + outputs.masks[1].sum()).backward()
    trained = {name for name, parameter in head.named_parameters() if parameter.grad is not None}
    assert len(trained) == 6
    assert all(name.split(".")[1] == "1" for name in trained)


def test_a_level_is_a_plain_convolution():
    head, features = make_head(), maps()
    outputs = head(features)
    conv = head.box_deltas[2]
    expected = F.conv2d(features[2], conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(outputs.deltas[2], expected)


def test_config_reaches_the_head():
    overrides = ["HEAD.NAME", "SSDHead", "HEAD.MAX_IN_OUT", True, "HEAD.PRIOR_PROB", 0.2]
    keys = [f"MODEL.SHOT.{key}" if i % 2 == 0 else key for i, key in enumerate(overrides)]
    cfg = load_config(overrides=keys).MODEL.SHOT
    head = build_head(cfg, input_shape=SHAPES, sources={"p4": "p3"}, num_anchors=6)
    assert isinstance(head, SSDHead)
    assert [level.groups for level in head.face_logits] == [[3, 1], [1, 3], [1, 3]]
    assert len(head.mask_logits) == 3
    logits = head([torch.zeros_like(x) for x in maps()]).logits
    assert logits[0].shape[1] == 6
    assert torch.allclose(logits[0].sigmoid(), torch.tensor(0.2))
