"""Feature fusion pyramid (DF²S² §3.3)."""

from __future__ import annotations

import math

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from df2s2_d2.config_checks import check_keys_added
from df2s2_d2.modeling.layers import build_norm, xavier_conv
from df2s2_d2.modeling.necks.build import NECK_REGISTRY, Neck
from df2s2_d2.modeling.necks.pooled_levels import PooledLevels

ACTIVATIONS = {"": nn.Identity, "relu": nn.ReLU, "sigmoid": nn.Sigmoid}


class FBlock(nn.Module):
    """Fuse a map with the one above it, used as attention: φ · Ψ(upper) + φ (eq. 1).

    Ψ is a transposed convolution that doubles the resolution and takes the channels of the upper
    map to those of the lower one.

    Args:
        in_channels: of the upper map.
        out_channels: of the lower map and of the result.
        kernel_size: 2, where outputs of neighbouring inputs touch, or 4, where they overlap.
        norm: detectron2's name of a norm behind the transposed convolution, "" for none.
        activation: "", "relu" or "sigmoid", behind the norm.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, norm: str, activation: str
    ):
        super().__init__()
        if kernel_size not in (2, 4):
            raise ValueError(f"MODEL.FFP.KERNEL_SIZE must be 2 or 4, found {kernel_size}")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"MODEL.FFP.ACTIVATION must be one of {sorted(ACTIVATIONS)}, found {activation!r}"
            )
        self.upsample = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size, stride=2, padding=kernel_size // 2 - 1
        )
        self.norm = build_norm(norm, out_channels) or nn.Identity()
        self.activation = ACTIVATIONS[activation]()
        xavier_fill_transposed(self.upsample)

    def forward(self, lower: Tensor, upper: Tensor) -> Tensor:
        """
        Args:
            lower: (N, out_channels, 2H, 2W).
            upper: (N, in_channels, H, W).

        Returns:
            (N, out_channels, 2H, 2W).
        """
        attention = self.activation(self.norm(self.upsample(upper)))
        return torch.addcmul(lower, lower, attention)


def xavier_fill_transposed(module: nn.ConvTranspose2d) -> None:
    """Give a transposed convolution the output variance that a xavier-filled convolution has.

    Each output sums (kernel / stride)² taps of every input channel. torch.nn.init takes a
    transposed weight's second dimension, its output channels, for the inputs instead.
    """
    taps = math.prod(module.kernel_size) / math.prod(module.stride)
    bound = math.sqrt(3 / (module.in_channels * taps))
    nn.init.uniform_(module.weight, -bound, bound)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@NECK_REGISTRY.register()
class FFP(Neck):
    """Fuse maps from top to bottom with F-blocks, each fused map being the attention of the next.

    The topmost map is taken as it is. Further levels are max-pooled from it in succession.

    Args:
        input_shape: of the bottom-up maps; strides must double from one to the next.
        out_channels: 0 keeps the channels of each bottom-up map, as the paper does; else 1x1
            projections behind the fusion give all outputs this width, so that heads which want
            equal widths can sit on the neck.
        kernel_size, norm, activation: see :class:`FBlock`.
        num_pooled_levels, pool_kernel_size: see :class:`PooledLevels`.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: dict[str, ShapeSpec],
        out_channels: int = 0,
        kernel_size: int = 2,
        norm: str = "",
        activation: str = "",
        num_pooled_levels: int = 2,
        pool_kernel_size: int = 2,
    ):
        super().__init__()
        if out_channels < 0:
            raise ValueError(f"MODEL.FFP.OUT_CHANNELS must be 0 or more, found {out_channels}")
        self.input_shape = dict(input_shape)
        self.in_features = sorted(input_shape, key=lambda name: input_shape[name].stride)
        shapes = [input_shape[name] for name in self.in_features]
        for lower, upper in zip(shapes, shapes[1:], strict=False):
            if upper.stride != 2 * lower.stride:
                raise ValueError(
                    "FFP fuses maps whose strides double from one to the next, found strides "
                    f"{[shape.stride for shape in shapes]}: set MODEL.NECK.IN_FEATURES"
                )
        if pool_kernel_size not in (1, 2):
            raise ValueError(f"MODEL.FFP.POOL_KERNEL_SIZE must be 1 or 2, found {pool_kernel_size}")
        self.blocks = nn.ModuleList(
            FBlock(upper.channels, lower.channels, kernel_size, norm, activation)
            for lower, upper in zip(shapes, shapes[1:], strict=False)
        )
        self.projections = nn.ModuleList(
            xavier_conv(shape.channels, out_channels, 1) if out_channels else nn.Identity()
            for shape in shapes
        )
        fused = [
            ShapeSpec(channels=out_channels or shape.channels, stride=shape.stride)
            for shape in shapes
        ]
        self.levels = PooledLevels(fused, num_pooled_levels, pool_kernel_size)
        self.sources = self.levels.sources

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        check_keys_added(cfg, "MODEL.FFP")
        return {
            "input_shape": input_shape,
            "out_channels": cfg.MODEL.FFP.OUT_CHANNELS,
            "kernel_size": cfg.MODEL.FFP.KERNEL_SIZE,
            "norm": cfg.MODEL.FFP.NORM,
            "activation": cfg.MODEL.FFP.ACTIVATION,
            "num_pooled_levels": cfg.MODEL.FFP.NUM_POOLED_LEVELS,
            "pool_kernel_size": cfg.MODEL.FFP.POOL_KERNEL_SIZE,
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self.levels.output_shape

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        maps = [features[name] for name in self.in_features]
        for level in reversed(range(len(self.blocks))):
            maps[level] = self.blocks[level](maps[level], maps[level + 1])
        return self.levels([project(x) for project, x in zip(self.projections, maps, strict=True)])
