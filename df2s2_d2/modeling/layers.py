"""Layers that necks, heads and bottom-up networks have in common."""

from __future__ import annotations

import torch.nn.functional as F
from detectron2.layers import Conv2d, get_norm
from fvcore.nn import weight_init
from torch import nn


def xavier_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    **kwargs,
) -> Conv2d:
    """A convolution padded to keep the map's size (but for its stride).

    It is xavier-filled as all new layers of both papers are, and has a bias unless a norm follows.

    Args:
        in_channels, out_channels, kernel_size, stride, dilation: of the convolution.
        kwargs: ``norm`` and ``activation`` of detectron2's Conv2d.
    """
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=not kwargs.get("norm"),
        **kwargs,
    )
    weight_init.c2_xavier_fill(conv)
    return conv


def rectified_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    norm: str = "",
    stride: int = 1,
    dilation: int = 1,
) -> Conv2d:
    """:func:`xavier_conv` with a norm, see :func:`build_norm`, and ReLU behind it."""
    return xavier_conv(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        dilation=dilation,
        norm=build_norm(norm, out_channels),
        activation=F.relu,
    )


def build_norm(name: str, channels: int) -> nn.Module | None:
    """A norm for maps of so many channels.

    Args:
        name: detectron2's name of it; "" gives None.

    Raises:
        ValueError: if there is no such norm, or none for so many channels.
    """
    try:
        return get_norm(name, channels)
    except KeyError as error:
        raise ValueError(
            f"a norm is {name!r}: it must be one of BN, FrozenBN, GN, LN, SyncBN, naiveSyncBN and "
            '"", none'
        ) from error
    except ValueError as error:
        raise ValueError(
            f"a norm of {channels} channels is {name!r}, which does not fit them: {error}"
        ) from error
