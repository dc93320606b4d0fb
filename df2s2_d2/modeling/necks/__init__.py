"""Necks turn the maps of a bottom-up network (c2, c3, ...) into a pyramid (p2, p3, ...)."""

from df2s2_d2.modeling.necks.build import NECK_REGISTRY, Neck, build_neck
from df2s2_d2.modeling.necks.fem import FEM
from df2s2_d2.modeling.necks.ffp import FFP
from df2s2_d2.modeling.necks.fpn import FPN
from df2s2_d2.modeling.necks.identity import Identity

__all__ = ["FEM", "FFP", "FPN", "Identity", "NECK_REGISTRY", "Neck", "build_neck"]
