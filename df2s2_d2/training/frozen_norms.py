"""Frozen batch norms become part of their convolutions while training, too."""

from __future__ import annotations

import logging

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import Tensor, fx, nn

from df2s2_d2.modeling.backbone.timm_network import TimmNetwork

logger = logging.getLogger(__name__)


def fold_frozen_norms(model: nn.Module) -> None:
    """Let every frozen batch norm behind a convolution scale its weights instead of its maps.

    It is the same function, up to rounding, of the same weights under the same names; weights have
    far fewer numbers than maps, which saves three passes over each map in a step.

    Args:
        model: changed in place; not to be copied afterwards.
    """
    for module in model.modules():
        if isinstance(module, Conv2d) and isinstance(module.norm, FrozenBatchNorm2d):
            _fold_own(module)
        elif isinstance(module, TimmNetwork) and module.freeze_norm:
            for conv, norm in _convs_with_norms(module.features):
                _fold_next(conv, norm)


def _fold_own(conv: Conv2d) -> None:
    """Fold the norm that detectron2's convolution holds."""
    forward, norm = conv.forward, conv.norm

    def folded(x: Tensor) -> Tensor:
        if not _is_folded(conv):
            return forward(x)
        x = _convolve(conv, norm, x)
        return x if conv.activation is None else conv.activation(x)

    conv.forward = folded


def _fold_next(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Fold a norm of timm, which may activate as well, that follows a convolution."""
    convolve, normalize = conv.forward, norm.forward

    def folded(x: Tensor) -> Tensor:
        return _convolve(conv, norm, x) if _is_folded(conv) else convolve(x)

    def rest(x: Tensor) -> Tensor:
        if not _is_folded(conv):
            return normalize(x)
        return norm.act(norm.drop(x)) if hasattr(norm, "act") else x

    conv.forward, norm.forward = folded, rest


def _is_folded(conv: nn.Conv2d) -> bool:
    return conv.training and torch.is_grad_enabled()


def _convolve(conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tensor:
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    bias = norm.bias - norm.running_mean * scale
    if conv.bias is not None:
        bias = bias + conv.bias * scale
    return conv._conv_forward(x, conv.weight * scale[:, None, None, None], bias)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        # Those of timm that activate as well would be looked into.
        return isinstance(module, nn.BatchNorm2d) or super().is_leaf_module(module, name)


def _convs_with_norms(network: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions of a network of timm that nothing but a batch norm reads, each with its norm.

    Those of a network whose graph cannot be followed are not found.
    """
    try:
        graph = _Tracer().trace(network)
    except Exception as error:  # whatever a network says to numbers that are none
        logger.info(f"Frozen norms of {type(network).__name__} are not folded: {error}")
        return []
    modules = dict(network.named_modules())
    pairs = []
    for node in graph.nodes:
        conv = modules.get(node.target) if node.op == "call_module" else None
        # Subclasses may pad, or make their weights, in a way of their own.
        if type(conv) is not nn.Conv2d or len(node.users) != 1 or conv.padding_mode != "zeros":
            continue
        reader = next(iter(node.users))
        norm = modules.get(reader.target) if reader.op == "call_module" else None
        if isinstance(norm, nn.BatchNorm2d) and norm.affine and norm.track_running_stats:
            pairs.append((conv, norm))
    return pairs
