"""Feature enhance module (DSFD §3.2), and the modules it is compared with in DSFD's table 6."""

from __future__ import annotations

import operator
from functools import partial

import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from df2s2_d2.config_checks import check_keys_added
from df2s2_d2.modeling.layers import xavier_conv
from df2s2_d2.modeling.necks.build import NECK_REGISTRY, Neck
from df2s2_d2.modeling.necks.context_branches import (
    ReleasedBranches,
    SingleBranches,
    SmoothingConv,
    StackedBranches,
)
from df2s2_d2.modeling.necks.pooled_levels import PooledLevels

FUSIONS = {"product": operator.mul, "sum": operator.add, "none": None}


class Fusion(nn.Module):
    """Fuse a map with the one above it, after a 1x1 convolution on each; rectified.

    Args:
        channels: of the map and of the result.
        upper_channels: of the map above; None fuses nothing.
        operation: how two maps of one shape become one.
    """

    def __init__(self, channels: int, upper_channels: int | None, operation):
        super().__init__()
        self.current = xavier_conv(channels, channels, 1)
        self.upper = xavier_conv(upper_channels, channels, 1) if upper_channels else None
        self.operation = operation

    def forward(self, current: Tensor, upper: Tensor | None) -> Tensor:
        """
        Args:
            current: (N, channels, H, W).
            upper: (N, upper_channels, h, w), enlarged to H x W.

        Returns:
            (N, channels, H, W).
        """
        fused = self.current(current)
        if self.upper is not None:
            enlarged = F.interpolate(self.upper(upper), size=fused.shape[-2:], mode="bilinear")
            fused = self.operation(fused, enlarged)
        return F.relu(fused)


@NECK_REGISTRY.register()
class FEM(Neck):
    """Fuse each map with the one above it, then look at it with several receptive fields.

    Args:
        input_shape: of the bottom-up maps.
        fusion: "product" (FEM), "sum" (FPN) or "none" (RFB).
        fused_features: names of the maps that are fused with the one above; empty = all.
        cascade: whether the fused map, not the bottom-up map, goes on to the level below.
        branches: "stacked" (FEM), "single" (RFB), "smoothing" (FPN) or "released".
        dilation, split_input: see :class:`StackedBranches`.
        out_channels: 0 keeps what the branches give, the channels of each bottom-up map, as the
            paper does; else 1x1 projections behind the branches give all outputs this width, so
            that heads which want equal widths can sit on the neck.
        num_pooled_levels: see :class:`PooledLevels`; the paper has none.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: dict[str, ShapeSpec],
        fusion: str = "product",
        fused_features: tuple[str, ...] = (),
        cascade: bool = False,
        branches: str = "stacked",
        dilation: int = 3,
        split_input: bool = False,
        out_channels: int = 0,
        num_pooled_levels: int = 0,
    ):
        super().__init__()
        if out_channels < 0:
            raise ValueError(f"MODEL.FEM.OUT_CHANNELS must be 0 or more, found {out_channels}")
        self.input_shape = dict(input_shape)
        self.in_features = sorted(input_shape, key=lambda name: input_shape[name].stride)
        shapes = [input_shape[name] for name in self.in_features]
        if fusion not in FUSIONS:
            raise ValueError(f"MODEL.FEM.FUSION must be one of {sorted(FUSIONS)}, found {fusion!r}")
        if unknown := sorted(set(fused_features) - set(self.in_features[:-1])):
            raise ValueError(
                f"MODEL.FEM.FUSED_FEATURES names {unknown}, but the maps with one above them are "
                f"{self.in_features[:-1]}"
            )
        self.cascade = cascade
        self.fusions = nn.ModuleList()
        for name, shape, upper in zip(self.in_features, shapes, [*shapes[1:], None], strict=True):
            is_fused = upper is not None and (not fused_features or name in fused_features)
            upper_channels = upper.channels if is_fused and fusion != "none" else None
            self.fusions.append(Fusion(shape.channels, upper_channels, FUSIONS[fusion]))

        makers = {
            "stacked": partial(StackedBranches, dilation=dilation, split_input=split_input),
            "single": SingleBranches,
            "smoothing": SmoothingConv,
            "released": ReleasedBranches,
        }
        if branches not in makers:
            raise ValueError(
                f"MODEL.FEM.BRANCHES must be one of {sorted(makers)}, found {branches!r}"
            )
        self.branches = nn.ModuleList(makers[branches](shape.channels) for shape in shapes)
        widths = [level.out_channels for level in self.branches]
        self.projections = nn.ModuleList(
            xavier_conv(width, out_channels, 1) if out_channels else nn.Identity()
            for width in widths
        )
        enhanced = [
            ShapeSpec(channels=out_channels or width, stride=shape.stride)
            for width, shape in zip(widths, shapes, strict=True)
        ]
        self.levels = PooledLevels(enhanced, num_pooled_levels)
        self.sources = self.levels.sources

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        check_keys_added(cfg, "MODEL.FEM")
        return {
            "input_shape": input_shape,
            "fusion": cfg.MODEL.FEM.FUSION,
            "fused_features": tuple(cfg.MODEL.FEM.FUSED_FEATURES),
            "cascade": cfg.MODEL.FEM.CASCADE,
            "branches": cfg.MODEL.FEM.BRANCHES,
            "dilation": cfg.MODEL.FEM.DILATION,
            "split_input": cfg.MODEL.FEM.SPLIT_INPUT,
            "out_channels": cfg.MODEL.FEM.OUT_CHANNELS,
            "num_pooled_levels": cfg.MODEL.FEM.NUM_POOLED_LEVELS,
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self.levels.output_shape

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        maps = [features[name] for name in self.in_features]
        fused: list[Tensor] = []
        upper = None
        for current, fusion in zip(reversed(maps), reversed(self.fusions), strict=True):
            fused.append(fusion(current, upper))
            upper = fused[-1] if self.cascade else current
        levels = zip(self.projections, self.branches, reversed(fused), strict=True)
        return self.levels([project(branch(x)) for project, branch, x in levels])
