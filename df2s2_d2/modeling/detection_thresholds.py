"""Where a config keeps the thresholds that a model's detections have passed."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY

# Where models of each meta-architecture keep SCORE_THRESH_TEST and NMS_THRESH_TEST, below MODEL.
_THRESHOLD_KEYS = {
    "FaceDetector": "FACE_DETECTOR",
    "RetinaNet": "RETINANET",
    "GeneralizedRCNN": "ROI_HEADS",
}
META_ARCHITECTURES = tuple(_THRESHOLD_KEYS)


def detection_thresholds(cfg: CfgNode) -> CfgNode:
    """The node with SCORE_THRESH_TEST and NMS_THRESH_TEST of the model; empty if unknown.

    Models that are derived from those of :data:`META_ARCHITECTURES` keep them in the same place.
    """
    name = cfg.MODEL.META_ARCHITECTURE
    if name not in META_ARCH_REGISTRY:
        return CfgNode()
    kinds = getattr(META_ARCH_REGISTRY.get(name), "__mro__", ())
    keys = (_THRESHOLD_KEYS.get(kind.__name__) for kind in kinds)
    return cfg.MODEL.get(next(filter(None, keys), None), CfgNode())
