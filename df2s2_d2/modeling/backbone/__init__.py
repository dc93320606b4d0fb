"""Backbones: a bottom-up network and a neck, together what detectron2 calls a backbone."""

from df2s2_d2.modeling.backbone.pyramid import PyramidBackbone, build_pyramid_backbone

__all__ = ["PyramidBackbone", "build_pyramid_backbone"]
