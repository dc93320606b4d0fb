"""Optimizers in one pass over the weights, of which a device can leave out a step by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from torch import Tensor, nn

from df2s2_d2.config_checks import check_names

# What the names of a bottom-up network's parameters begin with, and of the layers behind it, which
# no weights of its own are for.
_BOTTOM_UP = "backbone.bottom_up."
_NEW_LAYERS = tuple(f"{_BOTTOM_UP}{part}." for part in ("laterals", "added_levels"))


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
        _groups_by_config(cfg, model),
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
        _groups_by_config(cfg, model),
        lr=solver.BASE_LR,
        betas=(solver.MOMENTUM, 0.999),
        weight_decay=solver.WEIGHT_DECAY,
        fused=True,
    )
    return maybe_add_gradient_clipping(cfg, optimizer)


OPTIMIZERS = {"SGD": build_sgd, "AdamW": build_adamw}


def parameter_groups(
    model: nn.Module,
    base_lr: float,
    *,
    bottom_up_lr_factor: float = 1.0,
    bias_lr_factor: float = 1.0,
    **options: Any,
) -> list[dict]:
    """Groups of the trained parameters, each with its learning rate and weight decay.

    Args:
        model: whose bottom-up network, if it has one, is ``backbone.bottom_up``.
        base_lr: learning rate before the factors.
        bottom_up_lr_factor: on the rate of the bottom-up network, but not of layers added to it.
        bias_lr_factor: on the rate of biases, on top of that.
        options: of detectron2's ``get_default_optimizer_params``, such as ``weight_decay_norm``.

    Returns:
        As ``torch.optim`` takes them.
    """

    def factor(name: str) -> float:
        is_loaded = name.startswith(_BOTTOM_UP) and not name.startswith(_NEW_LAYERS)
        of_network = bottom_up_lr_factor if is_loaded else 1.0
        return of_network * (bias_lr_factor if name.endswith(".bias") else 1.0)

    # Its own factor for biases would replace that of their network.
    return get_default_optimizer_params(model, base_lr=base_lr, lr_factor_func=factor, **options)


def _groups_by_config(cfg: CfgNode, model: nn.Module) -> list[dict]:
    solver = cfg.SOLVER
    return parameter_groups(
        model,
        solver.BASE_LR,
        bottom_up_lr_factor=solver.BOTTOM_UP_LR_FACTOR,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
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
