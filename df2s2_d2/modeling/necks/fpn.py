"""Feature pyramid network, detectron2's own, as a neck: the baseline of DF²S² tables 1 and 2."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import FPN as DetectronFPN
from detectron2.modeling import Backbone
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from torch import Tensor

from df2s2_d2.modeling.necks.build import NECK_REGISTRY, Neck


class _GivenMaps(Backbone):
    """Stands where detectron2's FPN expects a bottom-up network: gives back what it is given."""

    def __init__(self, input_shape: dict[str, ShapeSpec]):
        super().__init__()
        self._input_shape = input_shape

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self._input_shape

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return features


@NECK_REGISTRY.register()
class FPN(Neck):
    """detectron2's FPN with RetinaNet's two convolved levels on top.

    Keys: detectron2's MODEL.FPN.OUT_CHANNELS, NORM and FUSE_TYPE.

    Args:
        cfg: the whole config.
        input_shape: of the bottom-up maps; strides must double from one to the next.
    """

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]):
        super().__init__()
        in_features = sorted(input_shape, key=lambda name: input_shape[name].stride)
        self.fpn = DetectronFPN(
            bottom_up=_GivenMaps(input_shape),
            in_features=in_features,
            out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
            norm=cfg.MODEL.FPN.NORM,
            fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
            top_block=LastLevelP6P7(
                input_shape[in_features[-1]].channels,
                cfg.MODEL.FPN.OUT_CHANNELS,
                in_feature=in_features[-1],
            ),
        )

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self.fpn.output_shape()

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.fpn(features)
