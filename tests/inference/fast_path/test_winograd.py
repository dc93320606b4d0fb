"""Winograd's filtering against the convolution it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from df2s2_d2.inference.fast_path import winograd
from df2s2_d2.inference.fast_path.winograd import WinogradConv2d
from df2s2_d2.modeling.layers import rectified_conv


def convolution(in_channels: int = 5, out_channels: int = 7, dilation: int = 1) -> nn.Conv2d:
    torch.manual_seed(0)
    conv = rectified_conv(in_channels, out_channels, 3, dilation=dilation)
    nn.init.uniform_(conv.bias, -1, 1)
    return conv.requires_grad_(False)


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 30), (13, 8), (24, 36)])
def test_equals_the_convolution_of_any_size(size, dilation):
    conv = convolution(dilation=dilation)
    images = torch.randn(3, 5, *size)
    torch.testing.assert_close(WinogradConv2d(conv)(images), conv(images), rtol=1e-4, atol=1e-4)


def test_steps_of_any_length_join(monkeypatch):
    conv = convolution(dilation=2)
    images = torch.randn(3, 5, 40, 24)
    expected = conv(images)
    for tiles in (1, 13, 60, 10_000):
        monkeypatch.setattr(winograd, "_VALUES_PER_STEP", 36 * 7 * tiles)
        torch.testing.assert_close(WinogradConv2d(conv)(images), expected, rtol=1e-4, atol=1e-4)


def test_memory_layout_does_not_matter():
    conv = convolution()
    images = torch.randn(2, 5, 9, 12)
    last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(WinogradConv2d(conv)(last), WinogradConv2d(conv)(images))


def test_float32_is_exact_to_a_hundred_thousandth():
    torch.manual_seed(0)
    conv = nn.Conv2d(256, 256, 3, padding=1).requires_grad_(False)
    images = torch.randn(1, 256, 32, 32)
    exact = F.conv2d(images.double(), conv.weight.double(), conv.bias.double(), padding=1)
    error = (WinogradConv2d(conv)(images) - exact).abs().max() / exact.abs().max()
    assert error < 2e-5


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"padding": 0},
        {"padding": 2},
        {"groups": 2},
        {"dilation": (1, 2), "padding": (1, 2)},
        {"kernel_size": 5, "padding": 2},
        {"padding_mode": "reflect"},
    ],
    ids=str,
)
def test_other_convolutions_are_refused(options):
    conv = nn.Conv2d(4, 4, **({"kernel_size": 3, "padding": 1} | options))
    assert not WinogradConv2d.replaces(conv)
    with pytest.raises(ValueError, match="not a 3x3 convolution"):
        WinogradConv2d(conv)


def test_a_convolution_with_a_norm_is_refused():
    assert not WinogradConv2d.replaces(rectified_conv(4, 4, 3, norm="BN"))
