"""Parallel convolutions of growing receptive field on one map: the second half of FEM (DSFD §3.2).

Each takes a map of ``channels`` and gives one of ``out_channels``; all outputs are rectified.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from df2s2_d2.modeling.layers import rectified_conv


def split_channels(channels: int, parts: int) -> list[int]:
    """Near-equal widths that add up to ``channels``; the last part takes the remainder."""
    return [channels // parts] * (parts - 1) + [channels - channels // parts * (parts - 1)]


class StackedBranches(nn.Module):
    """FEM: branches of one, two and three dilated convolutions, a third of the channels each.

    Args:
        channels: of the map and of the result.
        dilation: of every convolution.
        split_input: whether a branch sees a third of the map's channels only.
    """

    def __init__(self, channels: int, dilation: int = 3, split_input: bool = False):
        super().__init__()
        widths = split_channels(channels, 3)
        self.input_widths = widths if split_input else None
        self.branches = nn.ModuleList()
        for depth, width in enumerate(widths, start=1):
            inputs = [width if split_input else channels] + [width] * (depth - 1)
            convs = (
                rectified_conv(in_channels, width, 3, dilation=dilation) for in_channels in inputs
            )
            self.branches.append(nn.Sequential(*convs))
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(self.input_widths, dim=1) if self.input_widths else [x] * 3
        branches = zip(self.branches, parts, strict=True)
        return torch.cat([branch(part) for branch, part in branches], dim=1)


class SingleBranches(nn.Module):
    """RFB: branches of one convolution with dilations 1, 3 and 5, a third of the channels each.

    Args:
        channels: of the map and of the result.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.branches = nn.ModuleList(
            rectified_conv(channels, width, 3, dilation=dilation)
            for width, dilation in zip(split_channels(channels, 3), (1, 3, 5), strict=True)
        )
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class ReleasedBranches(nn.Module):
    """The branches of the network that DSFD's authors released: 256 + 128 + 128 channels.

    The first is one convolution; the second and third go on from another one, of dilation 2, with
    one more convolution and with two more.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.near = rectified_conv(channels, 256, 3, dilation=1)
        self.far = rectified_conv(channels, 256, 3, dilation=2)
        self.far_near = rectified_conv(256, 128, 3, dilation=1)
        self.far_far = nn.Sequential(
            rectified_conv(256, 128, 3, dilation=2), rectified_conv(128, 128, 3, dilation=1)
        )
        self.out_channels = 512

    def forward(self, x: Tensor) -> Tensor:
        far = self.far(x)
        return torch.cat((self.near(x), self.far_near(far), self.far_far(far)), dim=1)


class SmoothingConv(nn.Module):
    """FPN: one 3x3 convolution on the fused map, no branches.

    Args:
        channels: of the map and of the result.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = rectified_conv(channels, channels, 3, dilation=1)
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)
