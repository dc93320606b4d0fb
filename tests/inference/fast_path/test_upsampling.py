"""A transposed convolution as a product."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from df2s2_d2.inference.fast_path.upsampling import UpsampleByProduct


def test_equals_the_transposed_convolution():
    torch.manual_seed(0)
    conv = nn.ConvTranspose2d(6, 5, 2, stride=2).requires_grad_(False)
    maps = torch.randn(3, 6, 7, 4)
    torch.testing.assert_close(UpsampleByProduct(conv)(maps), conv(maps))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 4, "padding": 1},
        {"stride": 1},
        {"groups": 2},
        {"output_padding": 1},
        {"bias": False},
    ],
    ids=str,
)
def test_overlapping_outputs_are_left_alone(options):
    assert UpsampleByProduct.replaces(nn.ConvTranspose2d(4, 4, 2, stride=2))
    conv = nn.ConvTranspose2d(4, 4, **({"kernel_size": 2, "stride": 2} | options))
    assert not UpsampleByProduct.replaces(conv)
