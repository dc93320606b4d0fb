"""What a run starts from, checked before it starts, and how it goes on from a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.solver import LRMultiplier
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_matching,
    read_checkpoint,
    weights_in,
)
from df2s2_d2.training.checkpoints import check_fit, newest_checkpoint


def check_start(cfg: CfgNode, model: nn.Module, resume: bool) -> None:
    """Check the weights that a run starts from, before it writes anything.

    Args:
        cfg: of the run.
        model: built by it; its weights may change.
        resume: whether it goes on from the newest checkpoint in OUTPUT_DIR, if there is one.

    Raises:
        OSError, ValueError: if a file is not there, cannot be read, is a pickle, holds another
            detector, or the run in OUTPUT_DIR is beyond SOLVER.MAX_ITER or of another optimizer.
    """
    path = newest_checkpoint(cfg.OUTPUT_DIR) if resume else ""
    if path:
        checkpoint = read_checkpoint(path)
        check_fit(model, weights_in(checkpoint, path), path)
        check_length(cfg, steps_done(checkpoint["trainer"], cfg))
        check_optimizer(cfg, checkpoint["trainer"], cfg.SOLVER.OPTIMIZER)
        return
    check_weights_file("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)
    check_weights_file("MODEL.BOTTOM_UP.WEIGHTS", cfg.MODEL.BOTTOM_UP.WEIGHTS, is_model=False)
    if cfg.MODEL.WEIGHTS:
        load_matching(model, cfg.MODEL.WEIGHTS)


def steps_done(state: dict[str, Any], cfg: CfgNode) -> int:
    """How many steps of this run a checkpoint stands for.

    Where SOLVER.REFERENCE_WORLD_SIZE adapts batch and schedule to the number of processes, steps of
    another number of processes are longer or shorter.

    Args:
        state: of the trainer, as :meth:`Trainer.state_dict` gives it.
        cfg: of the run that goes on.
    """
    steps = state["iteration"] + 1
    before, after = state.get("reference_world_size", 0), cfg.SOLVER.REFERENCE_WORLD_SIZE
    return round(steps * before / after) if before and after else steps


def check_length(cfg: CfgNode, steps: int) -> None:
    """Check that a run is not longer than it is to become.

    Raises:
        ValueError: if its checkpoint was saved after more than SOLVER.MAX_ITER steps.
    """
    if steps > cfg.SOLVER.MAX_ITER:
        raise ValueError(
            f"The run in {cfg.OUTPUT_DIR} has done {steps} iterations, but SOLVER.MAX_ITER is "
            f"{cfg.SOLVER.MAX_ITER}: there is nothing to train; raise it, or name another "
            "OUTPUT_DIR"
        )


def optimizer_name(group: dict[str, Any]) -> str:
    """What SOLVER.OPTIMIZER calls the optimizer of a group of parameters."""
    return "AdamW" if "betas" in group else "SGD"


def check_optimizer(cfg: CfgNode, state: dict[str, Any], name: str) -> None:
    """Check that a run goes on with the optimizer that it was started with.

    Args:
        cfg: of the run that goes on.
        state: of the trainer, as :meth:`Trainer.state_dict` gives it.
        name: of the optimizer, as SOLVER.OPTIMIZER has it.

    Raises:
        ValueError: if the moments of one would be taken for those of the other.
    """
    before = optimizer_name(state["_trainer"]["optimizer"]["param_groups"][0])
    if before != name:
        raise ValueError(
            f"The run in {cfg.OUTPUT_DIR} was trained by {before}, but SOLVER.OPTIMIZER is "
            f"{name}: resume it with SOLVER.OPTIMIZER {before}, or start anew from its weights by "
            "MODEL.WEIGHTS"
        )


def name_parameters(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Let the state of an optimizer say which parameter is which."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        group["param_names"] = [names[parameter] for parameter in group["params"]]


def adapt_optimizer_state(
    optimizer: torch.optim.Optimizer, saved: dict[str, Any]
) -> dict[str, Any]:
    """Momenta of a checkpoint with the rates, decays and grouping of the optimizer at hand.

    Args:
        optimizer: as the config has it, with the names of its parameters.
        saved: ``state_dict`` of the optimizer of the run before.

    Returns:
        What ``optimizer.load_state_dict`` takes; parameters that were not trained keep their state.
    """
    current = optimizer.state_dict()
    groups = current["param_groups"]
    own = [name for group in groups for name in group["param_names"]]
    indices = [index for group in groups for index in group["params"]]
    index_of = dict(zip(own, indices, strict=True))
    before = {
        index: name
        for group in saved["param_groups"]
        for index, name in zip(group["params"], group.get("param_names", ()), strict=False)
    } or dict(zip(indices, own, strict=True))
    state = {
        index_of[before[index]]: value
        for index, value in saved["state"].items()
        if before.get(index) in index_of
    }
    return {"state": current["state"] | state, "param_groups": groups}


def set_step(scheduler: LRScheduler, steps: int) -> None:
    """Give the optimizer of a schedule the learning rates that hold after a number of steps.

    Args:
        scheduler: detectron2's, with the rates of the config, or another that has loaded its state.
        steps: done so far.
    """
    if isinstance(scheduler, LRMultiplier):
        scheduler.last_epoch = steps
        rates = scheduler.get_lr()
    else:
        rates = scheduler.get_last_lr()
    for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
