"""A bottom-up network and a neck, joined into a backbone for any detectron2 model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import Tensor, nn

from df2s2_d2.config_checks import check_keys_added, check_names
from df2s2_d2.modeling.backbone.stock_heads import check_stock_heads
from df2s2_d2.modeling.layers import rectified_conv
from df2s2_d2.modeling.map_shapes import check_maps
from df2s2_d2.modeling.necks import Neck, build_neck


class ConvLevel(nn.Sequential):
    """A level of half the size: a 1x1 and a 3x3 convolution of stride 2, rectified (DSFD §3.2).

    Args:
        in_channels: of the map below.
        mid_channels, out_channels: of the two convolutions.
        norm: detectron2's name of a norm behind each, "" for none.
    """

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int, norm: str):
        super().__init__(
            rectified_conv(in_channels, mid_channels, 1, norm=norm),
            rectified_conv(mid_channels, out_channels, 3, norm=norm, stride=2),
        )


class BottomUp(Backbone):
    """A network's maps under the names c2, c3, ... (k = log2 of the stride), with more levels.

    Args:
        network: gives one map per stride.
        lateral_channels: 0 takes its maps as they are; else a rectified 1x1 convolution behind each
            gives all of them this width. The products of maps in FFP and FEM expect rectified maps
            of about unit scale, as those of ResNets and VGG16 are; the last layers of mobile
            networks' stages are linear.
        lateral_norm: detectron2's name of a norm behind these convolutions, "" for none.
        num_pooled_levels: levels above its last map, max-pooled from it in succession.
        conv_levels: (1x1 channels, 3x3 channels) of each level above its last map.
        conv_levels_norm: see :class:`ConvLevel`.
    """

    def __init__(
        self,
        network: Backbone,
        lateral_channels: int = 0,
        lateral_norm: str = "",
        num_pooled_levels: int = 0,
        conv_levels: Sequence[tuple[int, int]] = (),
        conv_levels_norm: str = "",
    ):
        super().__init__()
        if lateral_channels < 0:
            raise ValueError(
                f"MODEL.BOTTOM_UP.LATERAL_CHANNELS must be 0 or more, found {lateral_channels}"
            )
        if num_pooled_levels < 0:
            raise ValueError(
                f"MODEL.BOTTOM_UP.NUM_POOLED_LEVELS must be 0 or more, found {num_pooled_levels}"
            )
        if num_pooled_levels and conv_levels:
            raise ValueError(
                "MODEL.BOTTOM_UP.NUM_POOLED_LEVELS and CONV_LEVELS both add levels above the last "
                "map: set one of them"
            )
        self.network = network
        shapes = network.output_shape()
        self.in_features = sorted(shapes, key=lambda name: shapes[name].stride)
        maps = [shapes[name] for name in self.in_features]
        self.laterals = nn.ModuleList()
        if lateral_channels:
            self.laterals.extend(
                rectified_conv(shape.channels, lateral_channels, 1, norm=lateral_norm)
                for shape in maps
            )
            maps = [ShapeSpec(channels=lateral_channels, stride=shape.stride) for shape in maps]
        self.added_levels = nn.ModuleList()

        def add_level(level: nn.Module, channels: int) -> None:
            self.added_levels.append(level)
            maps.append(ShapeSpec(channels=channels, stride=2 * maps[-1].stride))

        for _ in range(num_pooled_levels):
            add_level(nn.MaxPool2d(2, ceil_mode=True), maps[-1].channels)
        for mid_channels, out_channels in conv_levels:
            level = ConvLevel(maps[-1].channels, mid_channels, out_channels, conv_levels_norm)
            add_level(level, out_channels)
        self._output_shape = {f"c{int(math.log2(shape.stride))}": shape for shape in maps}
        names = list(self._output_shape)
        top = names[len(self.in_features) - 1]
        self.sources = {name: top for name in names[len(self.in_features) :] if num_pooled_levels}

    @property
    def size_divisibility(self) -> int:
        return self.network.size_divisibility

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self._output_shape

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.network(images)
        maps = [features[name] for name in self.in_features]
        if self.laterals:
            maps = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for level in self.added_levels:
            maps.append(level(maps[-1]))
        return dict(zip(self._output_shape, maps, strict=True))


class PyramidBackbone(Backbone):
    """The maps of a bottom-up network (c2, ...) and of the neck on it (p2, ...), side by side.

    Heads at inference read the neck's maps; a first shot reads the bottom-up maps.

    Args:
        bottom_up: see :class:`BottomUp`.
        neck: reads maps of ``bottom_up``.
        neck_features: names of these maps.

    Raises:
        ValueError: if the neck was built for other maps.
    """

    def __init__(self, bottom_up: BottomUp, neck: Neck, neck_features: Sequence[str]):
        super().__init__()
        self.bottom_up = bottom_up
        self.neck = neck
        shapes = bottom_up.output_shape()
        if neck.input_shape is not None:
            check_maps("The neck", neck.input_shape, "the bottom-up network", shapes)
        self._coarsest_stride = max(shapes[name].stride for name in neck_features)
        # Maps pooled from another one, and the name of that one.
        self.sources = {**bottom_up.sources, **neck.sources}

    @property
    def size_divisibility(self) -> int:
        """Images are padded to whole cells of the coarsest map that the neck reads.

        So the maps that it fuses align. Levels above, which nothing is fused with, may end within
        a cell: padding for their sake would cost up to the stride of the topmost in every image.
        """
        return max(self._coarsest_stride, self.bottom_up.size_divisibility)

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {**self.bottom_up.output_shape(), **self.neck.output_shape()}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) images, sides divisible by ``size_divisibility``, to maps by name."""
        features = self.bottom_up(images)
        return {**features, **self.neck(features)}


@BACKBONE_REGISTRY.register()
def build_pyramid_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> PyramidBackbone:
    """Build MODEL.BOTTOM_UP.NAME and MODEL.NECK.NAME into one backbone, for heads of any model.

    Raises:
        ValueError: naming the keys that are wrong, those of detectron2's own heads among them.
    """
    check_keys_added(cfg, "MODEL.BOTTOM_UP", "MODEL.NECK")
    known = [name for name, _ in BACKBONE_REGISTRY if name != cfg.MODEL.BACKBONE.NAME]
    check_names({"MODEL.BOTTOM_UP.NAME": (cfg.MODEL.BOTTOM_UP.NAME, known)})
    network = BACKBONE_REGISTRY.get(cfg.MODEL.BOTTOM_UP.NAME)(cfg, input_shape)
    bottom_up = BottomUp(
        network,
        lateral_channels=cfg.MODEL.BOTTOM_UP.LATERAL_CHANNELS,
        lateral_norm=cfg.MODEL.BOTTOM_UP.LATERAL_NORM,
        num_pooled_levels=cfg.MODEL.BOTTOM_UP.NUM_POOLED_LEVELS,
        conv_levels=cfg.MODEL.BOTTOM_UP.CONV_LEVELS,
        conv_levels_norm=cfg.MODEL.BOTTOM_UP.CONV_LEVELS_NORM,
    )
    neck = build_neck(cfg, bottom_up.output_shape())
    backbone = PyramidBackbone(bottom_up, neck, cfg.MODEL.NECK.IN_FEATURES)
    check_stock_heads(cfg, backbone.output_shape())
    return backbone
