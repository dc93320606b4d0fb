"""What a neck is, and how a config names one."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.utils.registry import Registry
from torch import Tensor, nn

from df2s2_d2.config_checks import check_keys_added, check_names

NECK_REGISTRY = Registry("NECK")
NECK_REGISTRY.__doc__ = """
Necks by name. An entry is called as ``neck(cfg, input_shape)``, where ``input_shape`` maps the
names of the bottom-up maps that the neck reads to their ShapeSpec, and returns a :class:`Neck`.
"""


class Neck(nn.Module, metaclass=ABCMeta):
    """Maps of one network in, maps of a pyramid out, both as dicts by name."""

    # Maps that it was built for; None = not said.
    input_shape: dict[str, ShapeSpec] | None = None

    # Outputs that are another output resampled without parameters, and the name of that one.
    # Heads give both the same projection.
    sources: dict[str, str] = {}

    @abstractmethod
    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Map each name of :meth:`output_shape` to a tensor (N, C, H, W)."""

    @abstractmethod
    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every output."""


def build_neck(cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> Neck:
    """Build the neck ``cfg.MODEL.NECK.NAME`` on the maps ``cfg.MODEL.NECK.IN_FEATURES``.

    Args:
        cfg: the whole config.
        input_shape: of all bottom-up maps.

    Raises:
        ValueError: if there is no such neck, it reads nothing, or the bottom-up network lacks a map
            that it is to read.
    """
    check_keys_added(cfg, "MODEL.NECK")
    check_names({"MODEL.NECK.NAME": (cfg.MODEL.NECK.NAME, [name for name, _ in NECK_REGISTRY])})
    if not cfg.MODEL.NECK.IN_FEATURES:
        raise ValueError(
            f"MODEL.NECK.IN_FEATURES names no map for the neck to read: {sorted(input_shape)} are "
            "those of the bottom-up network"
        )
    missing = [name for name in cfg.MODEL.NECK.IN_FEATURES if name not in input_shape]
    if missing:
        raise ValueError(
            f"MODEL.NECK.IN_FEATURES names {missing}, but the bottom-up network gives "
            f"{sorted(input_shape)}: set MODEL.NECK.IN_FEATURES, or let the network give more, a "
            "ResNet by MODEL.RESNETS.OUT_FEATURES, a network of timm by MODEL.TIMM.STRIDES, and "
            "levels above them by MODEL.BOTTOM_UP.NUM_POOLED_LEVELS or CONV_LEVELS"
        )
    chosen = {name: input_shape[name] for name in cfg.MODEL.NECK.IN_FEATURES}
    return NECK_REGISTRY.get(cfg.MODEL.NECK.NAME)(cfg, chosen)
