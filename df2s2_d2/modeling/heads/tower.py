"""The head of DF²S² (§3.1 and §3.2): one tower of convolutions under all predictions."""

from __future__ import annotations

import math

from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ShapeSpec
from torch import Tensor, nn

from df2s2_d2.modeling.heads.build import HEAD_REGISTRY, HeadOutputs
from df2s2_d2.modeling.layers import rectified_conv, xavier_conv


class ConvTower(nn.Module):
    """3x3 convolutions with ReLU, shared by all levels.

    Maps of unequal width cannot enter one shared convolution. "project" puts a 1x1 convolution
    before it, "unshared" gives up sharing its first one; either once per source, so that pooled
    maps use that of the map they were pooled from. Maps of equal width need neither.

    Args:
        input_shape: of the maps, finest first.
        sources: for maps resampled from another one without parameters, the name of that one.
        num_convs: 3x3 convolutions that a map passes.
        conv_dim: channels of each.
        norm: detectron2's name of a norm, "" for none.
        entry: "project" or "unshared".
    """

    def __init__(
        self,
        *,
        input_shape: dict[str, ShapeSpec],
        sources: dict[str, str],
        num_convs: int,
        conv_dim: int,
        norm: str,
        entry: str,
    ):
        super().__init__()
        if entry not in ("project", "unshared"):
            raise ValueError(f"HEAD.ENTRY must be 'project' or 'unshared', found {entry!r}")
        if num_convs < 1:
            raise ValueError(f"HEAD.NUM_CONVS must be at least 1, found {num_convs}")

        def conv3x3(in_channels: int) -> Conv2d:
            return rectified_conv(in_channels, conv_dim, 3, norm=norm)

        widths = {shape.channels for shape in input_shape.values()}
        equal = len(widths) == 1
        self.entries = nn.ModuleDict()
        self.entry_of_level = [sources.get(name, name) for name in input_shape]
        for name, shape in input_shape.items():
            source = sources.get(name, name)
            if source in self.entries:
                continue
            if equal:
                self.entries[source] = nn.Identity()
            elif entry == "project":
                self.entries[source] = xavier_conv(shape.channels, conv_dim, 1)
            else:
                self.entries[source] = conv3x3(shape.channels)
        num_shared = num_convs - (entry == "unshared" and not equal)
        width = widths.pop() if equal else conv_dim
        self.convs = nn.Sequential(
            *(conv3x3(width if index == 0 else conv_dim) for index in range(num_shared))
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """One (N, conv_dim, H, W) tensor for each map (N, C, H, W)."""
        return [
            self.convs(self.entries[entry](x))
            for entry, x in zip(self.entry_of_level, features, strict=True)
        ]


@HEAD_REGISTRY.register()
class TowerHead(nn.Module):
    """Classification, regression and segmentation on one shared tower.

    The segmentation predictor runs in training mode only.

    Args:
        input_shape, sources, num_convs, conv_dim, norm, entry: see :class:`ConvTower`.
        num_anchors: A, anchors per cell.
        prior_prob: face probability of every anchor before training (focal loss).
        predict_masks: whether there is a segmentation predictor.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: dict[str, ShapeSpec],
        sources: dict[str, str],
        num_anchors: int,
        num_convs: int = 4,
        conv_dim: int = 256,
        norm: str = "",
        entry: str = "project",
        prior_prob: float = 0.01,
        predict_masks: bool = True,
    ):
        super().__init__()
        self.input_shape, self.num_anchors = dict(input_shape), num_anchors
        self.tower = ConvTower(
            input_shape=input_shape,
            sources=sources,
            num_convs=num_convs,
            conv_dim=conv_dim,
            norm=norm,
            entry=entry,
        )
        self.face_logits = xavier_conv(conv_dim, num_anchors, 3)
        self.box_deltas = xavier_conv(conv_dim, 4 * num_anchors, 3)
        nn.init.constant_(self.face_logits.bias, math.log(prior_prob / (1 - prior_prob)))
        self.mask_logits = xavier_conv(conv_dim, 1, 3) if predict_masks else None

    @classmethod
    def from_config(cls, cfg: CfgNode, **kwargs) -> dict:
        return {
            "num_convs": cfg.HEAD.NUM_CONVS,
            "conv_dim": cfg.HEAD.CONV_DIM,
            "norm": cfg.HEAD.NORM,
            "entry": cfg.HEAD.ENTRY,
            "prior_prob": cfg.HEAD.PRIOR_PROB,
            "predict_masks": cfg.WEAK_MASK.ENABLED,
            **kwargs,
        }

    def towers(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps under classification and segmentation, and maps under regression."""
        maps = self.tower(features)
        return maps, maps

    def forward(self, features: list[Tensor]) -> HeadOutputs:
        """
        Args:
            features: maps (N, C, H, W), finest first.
        """
        face_maps, box_maps = self.towers(features)
        masks = None
        if self.training and self.mask_logits is not None:
            masks = [self.mask_logits(x) for x in face_maps]
        return HeadOutputs(
            logits=[self.face_logits(x) for x in face_maps],
            deltas=[self.box_deltas(x) for x in box_maps],
            masks=masks,
        )
