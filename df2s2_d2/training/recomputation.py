"""Activation checkpointing: maps are computed a second time in backward instead of being kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from detectron2.modeling import ResNet
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from df2s2_d2.modeling.backbone.timm_network import TimmNetwork
from df2s2_d2.modeling.backbone.vgg import VGG16
from df2s2_d2.modeling.heads.tower import ConvTower
from df2s2_d2.modeling.necks import FEM, FFP


def recompute_activations(model: nn.Module) -> None:
    """Make a model keep, for backward, only what enters its blocks; gradients stay the same.

    Blocks are the stages of bottom-up networks, the levels of necks, and towers once per level. The
    blocks within a ResNet's stage would be too small: most of what one keeps is what it passes on.

    Args:
        model: changed in place; not to be copied afterwards.
    """
    for block in list(_blocks(model)):
        _recompute(block)


def _blocks(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        if isinstance(module, ResNet):
            yield from module.stages
        elif isinstance(module, VGG16):
            yield from module.blocks.values()
        elif isinstance(module, TimmNetwork):
            yield from module.features.children()
        elif isinstance(module, FFP):
            yield from module.blocks
        elif isinstance(module, FEM):
            yield from module.fusions
            yield from module.branches
        elif isinstance(module, ConvTower):
            yield module.convs


def _recompute(block: nn.Module) -> None:
    forward = block.forward
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _statistics_kept(norms)

    def checkpointed(*inputs):
        if not (block.training and torch.is_grad_enabled()):
            return forward(*inputs)
        # No layer here draws random numbers; keeping their state would make a GPU wait.
        options = {"use_reentrant": False, "preserve_rng_state": False}
        if norms:
            options["context_fn"] = contexts
        return checkpoint(forward, *inputs, **options)

    block.forward = checkpointed


@contextmanager
def _statistics_kept(norms: list[_BatchNorm]) -> Iterator[None]:
    """Batch norms do not count a batch twice because it is computed twice."""
    with ExitStack() as stack:
        for norm in norms:
            for name, value in (("momentum", 0.0), ("num_batches_tracked", None)):
                stack.callback(setattr, norm, name, getattr(norm, name))
                setattr(norm, name, value)
        yield
