"""No neck: FSSD of DSFD's tables 1 and 6, whose heads sit on the bottom-up maps."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from torch import Tensor

from df2s2_d2.modeling.necks.build import NECK_REGISTRY, Neck


@NECK_REGISTRY.register()
class Identity(Neck):
    """Gives the maps c2, c3, ... back as p2, p3, ...

    Args:
        cfg: the whole config; nothing of it is used.
        input_shape: of the bottom-up maps.
    """

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]):
        super().__init__()
        self._input_shape = input_shape

    def output_shape(self) -> dict[str, ShapeSpec]:
        return {f"p{name[1:]}": shape for name, shape in self._input_shape.items()}

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {f"p{name[1:]}": features[name] for name in self._input_shape}
