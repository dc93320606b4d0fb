"""Where models of each meta-architecture keep what others ask of them: thresholds and classes."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY

# Meta-architecture -> the node below MODEL that has its settings.
_NODES = {
    "FaceDetector": "FACE_DETECTOR",
    "RetinaNet": "RETINANET",
    "GeneralizedRCNN": "ROI_HEADS",
}
META_ARCHITECTURES = tuple(_NODES)


def _settings_node(cfg: CfgNode) -> str | None:
    """Derived models have theirs in the place of those of :data:`META_ARCHITECTURES`."""
    name = cfg.MODEL.META_ARCHITECTURE
    if name not in META_ARCH_REGISTRY:
        return None
    kinds = getattr(META_ARCH_REGISTRY.get(name), "__mro__", ())
    return next((_NODES[kind.__name__] for kind in kinds if kind.__name__ in _NODES), None)


def detection_thresholds(cfg: CfgNode) -> CfgNode:
    """The node with SCORE_THRESH_TEST and NMS_THRESH_TEST of the model; empty if unknown.

    Args:
        cfg: the whole config.
    """
    return cfg.MODEL.get(_settings_node(cfg), CfgNode())


def number_of_classes(cfg: CfgNode) -> tuple[str, int] | None:
    """How many classes a model tells apart, behind the key that says so; None if it is not known.

    Args:
        cfg: the whole config.
    """
    node = _settings_node(cfg)
    if node is None:
        return None
    if node == "FACE_DETECTOR":
        return "MODEL.META_ARCHITECTURE", 1
    return f"MODEL.{node}.NUM_CLASSES", cfg.MODEL[node].NUM_CLASSES
