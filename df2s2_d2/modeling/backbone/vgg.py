"""VGG16 without its classifier, as single-shot detectors use it (DSFD §3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from fvcore.nn import weight_init
from torch import Tensor, nn

from df2s2_d2.config_checks import check_keys_added
from df2s2_d2.modeling.layers import rectified_conv

# Convolutions of each block, and its width in units of the first one's.
VGG16_BLOCKS = {
    "conv1": (2, 1),
    "conv2": (2, 2),
    "conv3": (3, 4),
    "conv4": (3, 8),
    "conv5": (3, 8),
}
_FC_WIDTH = 16


class L2Norm(nn.Module):
    """Scale the channels of every cell to unit length, then each channel by a learned factor.

    Args:
        num_channels: of the map.
        scale: that every channel starts with.
    """

    def __init__(self, num_channels: int, scale: float):
        super().__init__()
        self.weight = nn.Parameter(torch.full((num_channels,), float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; a cell without any response stays 0."""
        # The least length has to be more than 0 in half precision as well.
        return F.normalize(x, dim=1, eps=1e-6) * self.weight[:, None, None]


class VGG16(Backbone):
    """VGG16 up to fc7, whose fully connected layers fc6 and fc7 are convolutions.

    It gives ``conv3``, ``conv4``, ``conv5`` (the last map of each block, before its pooling) and
    ``fc7``, at strides 4, 8, 16 and 32. L2 norm applies to the maps given out, not to what flows
    on to the next block.

    Args:
        in_channels: of the images.
        width: channels of the first block, 64 in VGG16. The other blocks have 2, 4, 8 and 8 times
            as many, fc6 and fc7 16 times as many.
        fc6_dilation: also its padding. ImageNet weights of fc6 are every third tap of a 7x7
            window, which 3 puts back into their places.
        l2_norm_scales: initial scales of conv3, conv4 and conv5; empty = no L2 norm.
        norm: detectron2's name of a norm behind every convolution, "" for none as in the paper. To
            learn from nothing in a short time needs one.
        freeze_at: blocks, from the first on, that are not trained: 0 to 5.
    """

    @configurable
    def __init__(
        self,
        *,
        in_channels: int,
        width: int,
        fc6_dilation: int,
        l2_norm_scales: Sequence[float],
        freeze_at: int,
        norm: str = "",
    ):
        super().__init__()
        if len(l2_norm_scales) not in (0, 3):
            raise ValueError(
                "MODEL.VGG.L2_NORM_SCALES must have one value for each of conv3, conv4 and conv5 "
                f"or none, found {list(l2_norm_scales)}"
            )
        if not 0 <= freeze_at <= len(VGG16_BLOCKS):
            raise ValueError(
                f"MODEL.BACKBONE.FREEZE_AT must be 0 to {len(VGG16_BLOCKS)} for VGG16, found "
                f"{freeze_at}"
            )
        channels = {name: width * factor for name, (_, factor) in VGG16_BLOCKS.items()}
        channels["fc7"] = width * _FC_WIDTH

        self.blocks = nn.ModuleDict()
        for name, (num_convs, _) in VGG16_BLOCKS.items():
            self.blocks[name] = nn.Sequential()
            for _ in range(num_convs):
                conv = rectified_conv(in_channels, channels[name], 3, norm=norm)
                self.blocks[name].append(conv)
                in_channels = channels[name]
        self.fc6 = rectified_conv(in_channels, channels["fc7"], 3, norm=norm, dilation=fc6_dilation)
        self.fc7 = rectified_conv(channels["fc7"], channels["fc7"], 1, norm=norm)

        outputs = {"conv3": 4, "conv4": 8, "conv5": 16, "fc7": 32}
        self._output_shape = {
            name: ShapeSpec(channels=channels[name], stride=stride)
            for name, stride in outputs.items()
        }
        self.l2_norms = nn.ModuleDict(
            {
                name: L2Norm(channels[name], scale)
                for name, scale in zip(outputs, l2_norm_scales, strict=False)
            }
        )
        # Without norms, so deep a network learns from nothing only if signals keep their strength.
        for convolution in [*self.blocks.modules(), self.fc6, self.fc7]:
            if isinstance(convolution, nn.Conv2d):
                weight_init.c2_msra_fill(convolution)
        for name in list(VGG16_BLOCKS)[:freeze_at]:
            self.blocks[name].requires_grad_(False)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        check_keys_added(cfg, "MODEL.VGG")
        return {
            "in_channels": input_shape.channels,
            "width": cfg.MODEL.VGG.WIDTH,
            "fc6_dilation": cfg.MODEL.VGG.FC6_DILATION,
            "l2_norm_scales": cfg.MODEL.VGG.L2_NORM_SCALES,
            "freeze_at": cfg.MODEL.BACKBONE.FREEZE_AT,
            "norm": cfg.MODEL.VGG.NORM,
        }

    @property
    def size_divisibility(self) -> int:
        return 32

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self._output_shape

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, in_channels, H, W) images, sides divisible by 32, to maps by name."""
        maps = {}
        x = images
        for name, block in self.blocks.items():
            x = block(x)
            if name in self._output_shape:
                maps[name] = self.l2_norms[name](x) if name in self.l2_norms else x
            x = F.max_pool2d(x, kernel_size=2, stride=2)
        maps["fc7"] = self.fc7(self.fc6(x))
        return maps


@BACKBONE_REGISTRY.register()
def build_vgg16_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> VGG16:
    """Build :class:`VGG16` from MODEL.VGG and MODEL.BACKBONE.FREEZE_AT."""
    return VGG16(cfg, input_shape)
