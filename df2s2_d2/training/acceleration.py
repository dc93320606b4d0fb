"""Switches that make a training step faster or smaller and leave what it computes as it is."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from torch import Tensor, nn

from df2s2_d2.modeling import FaceDetector
from df2s2_d2.training.depthwise import use_float32_gradients
from df2s2_d2.training.frozen_norms import fold_frozen_norms
from df2s2_d2.training.precision import check_precision, mixed_precision
from df2s2_d2.training.recomputation import recompute_activations
from df2s2_d2.training.weight_average import check_decay


def check_switches(cfg: CfgNode) -> None:
    """Check the keys below SOLVER that switch something on.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    solver = cfg.SOLVER
    check_precision(cfg)
    check_decay(cfg)
    if solver.COMPILE and solver.COMPILE not in torch.compiler.list_backends(exclude_tags=()):
        raise ValueError(
            "SOLVER.COMPILE must be '' or a backend of torch.compile, such as 'inductor', found "
            f"{solver.COMPILE!r}"
        )
    if solver.COMPILE and solver.ACTIVATION_CHECKPOINTING:
        raise ValueError(
            "SOLVER.COMPILE and SOLVER.ACTIVATION_CHECKPOINTING exclude each other: a compiled "
            "network chooses by itself what it keeps for backward; set one of them"
        )


def use_channels_last(model: nn.Module) -> None:
    """Keep a model's weights and maps with the channels of a cell side by side.

    Args:
        model: a detector; changed in place.
    """
    model.to(memory_format=torch.channels_last)
    model.backbone.register_forward_pre_hook(_to_channels_last)


def _to_channels_last(backbone: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].contiguous(memory_format=torch.channels_last),)


def accelerate(model: nn.Module, cfg: CfgNode) -> None:
    """Prepare a detector for training as the keys below SOLVER want it.

    Args:
        model: a detector; changed in place, with all names and values of its weights kept; not to
            be copied afterwards.
        cfg: of which MODEL.DEVICE and the keys below SOLVER are read.
    """
    fold_frozen_norms(model)
    if cfg.MODEL.DEVICE == "cpu" and mixed_precision(cfg) is torch.bfloat16:
        use_float32_gradients(model)
    if cfg.SOLVER.ACTIVATION_CHECKPOINTING:
        recompute_activations(model)
    if cfg.SOLVER.COMPILE:
        model.backbone.compile(backend=cfg.SOLVER.COMPILE)
        if isinstance(model, FaceDetector):
            # Head, matching and losses; preparing a batch is the host's work.
            model.forward_training = torch.compile(
                model.forward_training, backend=cfg.SOLVER.COMPILE
            )
        elif hasattr(model, "head"):
            model.head.compile(backend=cfg.SOLVER.COMPILE)
