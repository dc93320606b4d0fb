"""Whether the heads of detectron2's own models can sit on a backbone, told when it is built."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec

# Meta-architecture -> the nodes below MODEL whose IN_FEATURES name maps that its heads share.
_READERS = {
    "RetinaNet": ("RETINANET",),
    "ProposalNetwork": ("RPN",),
    "GeneralizedRCNN": ("RPN", "ROI_HEADS"),
    "PanopticFPN": ("RPN", "ROI_HEADS"),
}
_WITH_ANCHORS = ("RETINANET", "RPN")


def check_stock_heads(cfg: CfgNode, shapes: dict[str, ShapeSpec]) -> None:
    """Check the maps that a model of detectron2 reads; of other models nothing is known.

    Args:
        cfg: the whole config.
        shapes: of the backbone's maps.

    Raises:
        ValueError: if maps are missing, differ in width, or are more than there are anchors for;
            names the keys to change.
    """
    neck = cfg.MODEL.NECK.NAME
    keys = cfg.MODEL.get(neck, {})
    for node in _READERS.get(cfg.MODEL.META_ARCHITECTURE, ()):
        key, names = f"MODEL.{node}.IN_FEATURES", cfg.MODEL[node].IN_FEATURES
        if missing := [name for name in names if name not in shapes]:
            coarser = neck if "NUM_POOLED_LEVELS" in keys else "BOTTOM_UP"
            raise ValueError(
                f"{key} names {missing}, but the backbone gives {list(shapes)}: name maps of the "
                "backbone there, or let the neck make more, coarser ones by "
                f"MODEL.{coarser}.NUM_POOLED_LEVELS and finer ones by MODEL.NECK.IN_FEATURES"
            )
        widths = {name: shapes[name].channels for name in names}
        if len(set(widths.values())) > 1:
            remedy = (
                f"set MODEL.{neck}.OUT_CHANNELS, such as 256"
                if "OUT_CHANNELS" in keys
                else "choose FFP, FEM or FPN as MODEL.NECK.NAME, and set its OUT_CHANNELS"
            )
            raise ValueError(
                f"{key} names maps of unequal width, {widths}, but the levels of a "
                f"{cfg.MODEL.META_ARCHITECTURE} share their heads: {remedy}"
            )
        sizes = cfg.MODEL.ANCHOR_GENERATOR.SIZES
        if node in _WITH_ANCHORS and len(sizes) not in (1, len(names)):
            raise ValueError(
                f"MODEL.ANCHOR_GENERATOR.SIZES has {len(sizes)} entries for the {len(names)} maps "
                f"of {key}: give one for each map, or one for all of them"
            )
