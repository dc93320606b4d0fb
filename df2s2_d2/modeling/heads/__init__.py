"""Heads predict face logits, box codes and, while training, weak masks on each level."""

from df2s2_d2.modeling.heads.build import HEAD_REGISTRY, HeadOutputs, build_head
from df2s2_d2.modeling.heads.retinanet import RetinaNetHead
from df2s2_d2.modeling.heads.ssd import SSDHead
from df2s2_d2.modeling.heads.tower import TowerHead

__all__ = ["HEAD_REGISTRY", "HeadOutputs", "RetinaNetHead", "SSDHead", "TowerHead", "build_head"]
