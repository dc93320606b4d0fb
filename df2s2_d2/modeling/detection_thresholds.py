"""Where a config keeps the thresholds that a model's detections have passed."""

from __future__ import annotations

from detectron2.config import CfgNode

# Where models of each meta-architecture keep SCORE_THRESH_TEST and NMS_THRESH_TEST, below MODEL.
_THRESHOLD_KEYS = {
    "FaceDetector": "FACE_DETECTOR",
    "RetinaNet": "RETINANET",
    "GeneralizedRCNN": "ROI_HEADS",
}


def detection_thresholds(cfg: CfgNode) -> CfgNode:
    """The node with SCORE_THRESH_TEST and NMS_THRESH_TEST of the model; empty if unknown."""
    return cfg.MODEL.get(_THRESHOLD_KEYS.get(cfg.MODEL.META_ARCHITECTURE), CfgNode())
