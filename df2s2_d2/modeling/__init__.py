"""Bottom-ups, necks, heads and the detector made of them; importing registers all of them."""

from df2s2_d2.modeling.backbone import PyramidBackbone, build_pyramid_backbone
from df2s2_d2.modeling.heads import HEAD_REGISTRY, HeadOutputs, RetinaNetHead, SSDHead, TowerHead
from df2s2_d2.modeling.meta_arch import FaceDetector
from df2s2_d2.modeling.multi_scale import DenseDetectorWithTTA
from df2s2_d2.modeling.necks import FEM, FFP, FPN, NECK_REGISTRY, Identity, Neck
from df2s2_d2.modeling.shot import Shot

__all__ = [
    "DenseDetectorWithTTA",
    "FEM",
    "FFP",
    "FPN",
    "HEAD_REGISTRY",
    "NECK_REGISTRY",
    "FaceDetector",
    "HeadOutputs",
    "Identity",
    "Neck",
    "PyramidBackbone",
    "RetinaNetHead",
    "SSDHead",
    "Shot",
    "TowerHead",
    "build_pyramid_backbone",
]
