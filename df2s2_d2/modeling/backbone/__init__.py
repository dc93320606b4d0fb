"""Backbones: a bottom-up network and a neck, together what detectron2 calls a backbone."""

from df2s2_d2.modeling.backbone.pretrained import adapt_weights, load_pretrained
from df2s2_d2.modeling.backbone.pyramid import (
    BottomUp,
    PyramidBackbone,
    build_pyramid_backbone,
)
from df2s2_d2.modeling.backbone.timm_network import TimmNetwork, build_timm_backbone
from df2s2_d2.modeling.backbone.vgg import VGG16, build_vgg16_backbone

__all__ = [
    "BottomUp",
    "VGG16",
    "PyramidBackbone",
    "TimmNetwork",
    "adapt_weights",
    "build_pyramid_backbone",
    "build_timm_backbone",
    "build_vgg16_backbone",
    "load_pretrained",
]
