"""What a head is, and how a config names one."""

from __future__ import annotations

from typing import NamedTuple

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.utils.registry import Registry
from torch import Tensor, nn

from df2s2_d2.config_checks import check_names

HEAD_REGISTRY = Registry("HEAD")
HEAD_REGISTRY.__doc__ = """
Heads by name. An entry is called as ``head(cfg, input_shape=..., sources=..., num_anchors=...)``,
where ``cfg`` is the node of a shot, and returns a module that turns a list of maps, finest first,
into :class:`HeadOutputs`. If it keeps ``input_shape`` and ``num_anchors`` as attributes, a detector
that they do not fit is refused when it is built.
"""


class HeadOutputs(NamedTuple):
    """Raw predictions, one tensor per level. A = anchors per cell.

    Attributes:
        logits: (N, A, H, W) face logits.
        deltas: (N, 4 A, H, W) box codes.
        masks: (N, 1, H, W) mask logits; None at inference and for heads without masks.
    """

    logits: list[Tensor]
    deltas: list[Tensor]
    masks: list[Tensor] | None = None


def build_head(
    cfg: CfgNode, input_shape: dict[str, ShapeSpec], sources: dict[str, str], num_anchors: int
) -> nn.Module:
    """Build the head ``cfg.HEAD.NAME``.

    Args:
        cfg: a shot's node, such as ``MODEL.SHOT`` of a config.
        input_shape: of the maps that the head will be given, finest first.
        sources: for maps resampled from another one without parameters, the name of that one.
        num_anchors: anchors per cell.

    Raises:
        ValueError: if there is no such head.
    """
    heads = [name for name, _ in HEAD_REGISTRY]
    check_names({"HEAD.NAME of a shot": (cfg.HEAD.NAME, heads)})
    return HEAD_REGISTRY.get(cfg.HEAD.NAME)(
        cfg, input_shape=input_shape, sources=sources, num_anchors=num_anchors
    )
