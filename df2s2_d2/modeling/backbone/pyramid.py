"""A bottom-up network and a neck, joined into a backbone for any detectron2 model."""

from __future__ import annotations

import math

import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import Tensor

from df2s2_d2.modeling.necks import Neck, build_neck


class BottomUp(Backbone):
    """A network's maps under the names c2, c3, ... (k = log2 of the stride), with pooled levels.

    Args:
        network: gives one map per stride.
        num_pooled_levels: levels above its last map, max-pooled from it in succession.
    """

    def __init__(self, network: Backbone, num_pooled_levels: int = 0):
        super().__init__()
        self.network = network
        shapes = network.output_shape()
        self.in_features = sorted(shapes, key=lambda name: shapes[name].stride)
        maps = [shapes[name] for name in self.in_features]
        for _ in range(num_pooled_levels):
            maps.append(ShapeSpec(channels=maps[-1].channels, stride=2 * maps[-1].stride))
        self._output_shape = {f"c{int(math.log2(shape.stride))}": shape for shape in maps}
        self.num_pooled_levels = num_pooled_levels
        names = list(self._output_shape)
        pooled = names[len(self.in_features) :]
        self.sources = {name: names[len(self.in_features) - 1] for name in pooled}

    @property
    def size_divisibility(self) -> int:
        return self.network.size_divisibility

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self._output_shape

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.network(images)
        maps = [features[name] for name in self.in_features]
        for _ in range(self.num_pooled_levels):
            maps.append(F.max_pool2d(maps[-1], kernel_size=2, stride=2))
        return dict(zip(self._output_shape, maps, strict=True))


class PyramidBackbone(Backbone):
    """The maps of a bottom-up network (c2, ...) and of the neck on it (p2, ...), side by side.

    Heads at inference read the neck's maps; a first shot reads the bottom-up maps.

    Args:
        bottom_up: see :class:`BottomUp`.
        neck: reads maps of ``bottom_up``.
    """

    def __init__(self, bottom_up: BottomUp, neck: Neck):
        super().__init__()
        self.bottom_up = bottom_up
        self.neck = neck
        # Maps pooled from another one, and the name of that one.
        self.sources = {**bottom_up.sources, **neck.sources}

    @property
    def size_divisibility(self) -> int:
        """Images are padded to whole cells of the coarsest level, so that levels align."""
        strides = [shape.stride for shape in self.output_shape().values()]
        return max(*strides, self.bottom_up.size_divisibility)

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {**self.bottom_up.output_shape(), **self.neck.output_shape()}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) images, sides divisible by ``size_divisibility``, to maps by name."""
        features = self.bottom_up(images)
        return {**features, **self.neck(features)}


@BACKBONE_REGISTRY.register()
def build_pyramid_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> PyramidBackbone:
    """Build MODEL.BOTTOM_UP.NAME and MODEL.NECK.NAME into one backbone."""
    network = BACKBONE_REGISTRY.get(cfg.MODEL.BOTTOM_UP.NAME)(cfg, input_shape)
    bottom_up = BottomUp(network, cfg.MODEL.BOTTOM_UP.NUM_POOLED_LEVELS)
    return PyramidBackbone(bottom_up, build_neck(cfg, bottom_up.output_shape()))
