"""What sums over anchors are divided by, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from df2s2_d2.modeling.losses import NORMALIZERS, normalized_sum


@pytest.mark.parametrize(
    "name, cls_divisors, box_divisors",
    [
        ("global", [5, 5, 5], [5, 5, 5]),
        ("per_level", [3, 2, 0], [3, 2, 0]),
        ("literal", [100, 40, 20], [3, 2, 0]),
        ("participating", [160, 160, 160], [5, 5, 5]),
    ],
)
def test_what_the_sums_are_divided_by(name, cls_divisors, box_divisors):
    positive, participating = torch.tensor([3.0, 2, 0]), torch.tensor([100.0, 40, 20])
    cls_counts, box_counts = NORMALIZERS[name](positive, participating)
    assert cls_counts.tolist() == cls_divisors
    assert box_counts.tolist() == box_divisors


def test_sums_are_divided_level_by_level_and_by_one_at_least():
    total = normalized_sum(torch.tensor([6.0, 5.0, 0.5]), torch.tensor([3.0, 2.0, 0.0]))
    assert total.item() == pytest.approx(6 / 3 + 5 / 2 + 0.5 / 1)
