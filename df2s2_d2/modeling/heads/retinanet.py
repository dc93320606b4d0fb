"""RetinaNet's head: a tower for classification and another for regression, the baseline."""

from __future__ import annotations

from detectron2.config import configurable
from torch import Tensor

from df2s2_d2.modeling.heads.build import HEAD_REGISTRY
from df2s2_d2.modeling.heads.tower import ConvTower, TowerHead


@HEAD_REGISTRY.register()
class RetinaNetHead(TowerHead):
    """As :class:`TowerHead`, but regression has a tower of its own.

    The segmentation predictor, if there is one, sits on the classification tower.
    """

    @configurable
    def __init__(self, *, input_shape, sources, num_convs, conv_dim, norm, entry, **kwargs):
        tower = {
            "input_shape": input_shape,
            "sources": sources,
            "num_convs": num_convs,
            "conv_dim": conv_dim,
            "norm": norm,
            "entry": entry,
        }
        super().__init__(**tower, **kwargs)
        self.box_tower = ConvTower(**tower)

    def towers(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return self.tower(features), self.box_tower(features)
