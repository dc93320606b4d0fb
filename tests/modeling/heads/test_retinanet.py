"""RetinaNet's head: two towers."""

from __future__ import annotations

import torch

from df2s2_d2.modeling.heads import RetinaNetHead
from tests.modeling.heads.test_tower import EQUAL, UNEQUAL, convolutions, make_head, maps


def test_two_towers_of_four_convolutions():
    head = make_head(EQUAL, head=RetinaNetHead, predict_masks=False)
    assert len(head.tower.convs) == len(head.box_tower.convs) == 4
    assert len(convolutions(head, 3)) == 2 * 4 + 2
    own = {id(parameter) for parameter in head.tower.parameters()}
    assert not own & {id(parameter) for parameter in head.box_tower.parameters()}


def test_maps_of_unequal_width_are_projected_for_each_tower():
    head = make_head(UNEQUAL, head=RetinaNetHead)
    assert len(convolutions(head, 1)) == 2 * 4
    assert head(maps()).deltas[5].shape == (2, 24, 2, 1)


def test_classification_and_masks_read_one_tower_and_regression_the_other():
    head = make_head(EQUAL, head=RetinaNetHead)
    outputs = head(maps(EQUAL))

    def towers_under(predictions: list[torch.Tensor]) -> set[str]:
        head.zero_grad()
        sum(x.sum() for x in predictions).backward(retain_graph=True)
        return {
            name
            for name in ("tower", "box_tower")
            for parameter in getattr(head, name).parameters()
            if parameter.grad is not None and parameter.grad.any()
        }

    assert towers_under(outputs.logits) == {"tower"}
    assert towers_under(outputs.masks) == {"tower"}
    assert towers_under(outputs.deltas) == {"box_tower"}
