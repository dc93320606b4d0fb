"""Optimizers in one pass over the weights, of which a device can leave out a step by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from torch import Tensor, nn

from df2s2_d2.config_checks import check_names

# What the names of its parameters begin with.
_BOTTOM_UP = "backbone.bottom_up."


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that SOLVER.OPTIMIZER names.

    Raises:
        ValueError: if it names none.
    """
    check_names({"SOLVER.OPTIMIZER": (cfg.SOLVER.OPTIMIZER, OPTIMIZERS)})
    return OPTIMIZERS[cfg.SOLVER.OPTIMIZER](cfg, model)


def fused_sgd(
    params: Iterable, *, lr: float, momentum: float = 0.0, **options: Any
) -> torch.optim.SGD:
    """torch's SGD in one pass over the weights, which may leave out its first step.

    Args:
        params: parameters or groups of them.
        lr, momentum, options: of ``torch.optim.SGD``.
    """
    optimizer = torch.optim.SGD(params, lr=lr, momentum=momentum, fused=True, **options)
    if momentum:
        # The fused kernel makes its own without filling them, and would keep what lay there if it
        # leaves out its very first step, as float16 often makes it.
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def build_sgd(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """detectron2's SGD for the same keys below SOLVER, gradient clipping among them, but fused."""
    solver = cfg.SOLVER
    optimizer = fused_sgd(
        _parameter_groups(cfg, model),
        lr=solver.BASE_LR,
        momentum=solver.MOMENTUM,
        nesterov=solver.NESTEROV,
        weight_decay=solver.WEIGHT_DECAY,
    )
    return maybe_add_gradient_clipping(cfg, optimizer)


def build_adamw(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW for the keys of :func:`build_sgd`; SOLVER.MOMENTUM is its first beta.

    Its steps do not grow with the gradient. So one rate suits losses of any scale, and layers that
    little of the gradient reaches.
    """
    solver = cfg.SOLVER
    optimizer = torch.optim.AdamW(
        _parameter_groups(cfg, model),
        lr=solver.BASE_LR,
        betas=(solver.MOMENTUM, 0.999),
        weight_decay=solver.WEIGHT_DECAY,
        fused=True,
    )
    return maybe_add_gradient_clipping(cfg, optimizer)


OPTIMIZERS = {"SGD": build_sgd, "AdamW": build_adamw}


def _parameter_groups(cfg: CfgNode, model: nn.Module) -> list[dict]:
    solver, factor = cfg.SOLVER, cfg.SOLVER.BOTTOM_UP_LR_FACTOR
    return get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        lr_factor_func=lambda name: factor if name.startswith(_BOTTOM_UP) else 1.0,
    )


def step_unless(optimizer: torch.optim.Optimizer, is_bad: Tensor) -> None:
    """Update the weights, unless the device finds ``is_bad``, a bool, to be true.

    The host does not wait for it, but with optimizers that are not fused.
    """
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        # As torch's GradScaler tells fused optimizers.
        optimizer.found_inf = is_bad.float()
        optimizer.step()
        del optimizer.found_inf
    elif not is_bad:
        optimizer.step()
