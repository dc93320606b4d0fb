"""The mask loss against its formula."""

from __future__ import annotations

import pytest
import torch

from df2s2_d2.modeling.losses import mask_loss
from tests.modeling import references


def test_mask_loss_sums_the_cross_entropy_of_participating_cells():
    logits = torch.tensor([[[[0.0, 2.0], [-1.0, 50.0]]]])
    mask = torch.tensor([[[True, False], [True, False]]])
    participating = torch.tensor([[[True, True], [True, False]]])
    expected = sum(
        references.sigmoid_cross_entropy(*pair) for pair in [(0.0, 1), (2.0, 0), (-1.0, 1)]
    )
    loss = mask_loss(logits, mask, participating)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
