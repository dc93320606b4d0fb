"""Whether a training's batches, steps and periods can be, told before it starts."""

from __future__ import annotations

import math

from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from detectron2.solver import build_lr_scheduler
from torch import nn

from df2s2_d2.config_checks import check_names
from df2s2_d2.training.optimizer import build_optimizer
from df2s2_d2.training.step import check_parts

_SCHEDULES = ("WarmupCosineLR", "WarmupMultiStepLR", "WarmupStepWithFixedGammaLR")
_SAMPLERS = (
    "RandomSubsetTrainingSampler",
    "RepeatFactorTrainingSampler",
    "TrainingSampler",
    "WeightedCategoryTrainingSampler",
    "WeightedTrainingSampler",
)


def check_schedule(cfg: CfgNode, num_processes: int) -> None:
    """Check the keys of a training that are looked at only when it is built, or later.

    Args:
        cfg: the config, not yet scaled to the number of processes.
        num_processes: that train together.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    solver = cfg.SOLVER
    check_bottom_up_rate(cfg)
    values = {
        "SOLVER.LR_SCHEDULER_NAME": (solver.LR_SCHEDULER_NAME, _SCHEDULES),
        "SOLVER.WARMUP_METHOD": (solver.WARMUP_METHOD, ("constant", "linear")),
        "DATALOADER.SAMPLER_TRAIN": (cfg.DATALOADER.SAMPLER_TRAIN, _SAMPLERS),
    }
    if solver.CLIP_GRADIENTS.ENABLED:
        values["SOLVER.CLIP_GRADIENTS.CLIP_TYPE"] = (
            solver.CLIP_GRADIENTS.CLIP_TYPE,
            ("norm", "value"),
        )
    check_names(values)
    scaled = check_counts(cfg, num_processes)
    try:
        build_lr_scheduler(scaled, build_optimizer(scaled, nn.Linear(1, 1)))
    except (AssertionError, TypeError, ValueError, ZeroDivisionError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"No optimizer and learning rates can be made of the keys below SOLVER ({what})"
        ) from error


def check_bottom_up_rate(cfg: CfgNode) -> None:
    """Check the factor on the learning rate of the bottom-up network.

    Raises:
        ValueError: if it is none.
    """
    factor = cfg.SOLVER.BOTTOM_UP_LR_FACTOR
    if not 0 <= factor < math.inf:
        raise ValueError(
            f"SOLVER.BOTTOM_UP_LR_FACTOR: expected a factor of at least 0; found {factor}"
        )


def check_counts(cfg: CfgNode, num_processes: int) -> CfgNode:
    """Check the batch size and the numbers of iterations.

    Args:
        cfg, num_processes: see :func:`check_schedule`.

    Returns:
        The config scaled to the number of processes.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    _check_batch_size(cfg, num_processes)
    scaled = DefaultTrainer.auto_scale_workers(cfg, num_processes)
    _check_periods(scaled, "" if scaled is cfg else f", scaled to {num_processes} processes")
    check_parts(scaled, num_processes)
    return scaled


def _check_batch_size(cfg: CfgNode, num_processes: int) -> None:
    """Each process gets an equal share, also where the config is meant for another number."""
    batch_size, reference = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.REFERENCE_WORLD_SIZE
    if reference < 0:
        raise ValueError(
            f"SOLVER.REFERENCE_WORLD_SIZE is {reference}: give the number of processes that the "
            "batch size is meant for, or 0 to keep the batch size for any number"
        )
    share = reference or num_processes
    if batch_size <= 0 or batch_size % share:
        meant = " that SOLVER.REFERENCE_WORLD_SIZE means it for" if reference else ""
        remedy = ", or set SOLVER.REFERENCE_WORLD_SIZE 0" if reference else ""
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH is {batch_size}, which the number of processes{meant}, {share}, "
            f"does not divide: give a multiple of {share}{remedy}"
        )


def _check_periods(cfg: CfgNode, scaled: str) -> None:
    """
    Args:
        cfg: as the trainer follows it.
        scaled: what to add of its having been scaled.
    """
    for key, value, least in (
        ("SOLVER.MAX_ITER", cfg.SOLVER.MAX_ITER, 1),
        ("SOLVER.CHECKPOINT_PERIOD", cfg.SOLVER.CHECKPOINT_PERIOD, 1),
        ("SOLVER.WARMUP_ITERS", cfg.SOLVER.WARMUP_ITERS, 0),
        ("TEST.EVAL_PERIOD", cfg.TEST.EVAL_PERIOD, 0),
    ):
        if value < least:
            raise ValueError(f"{key} is {value}{scaled}: give {least} iterations or more")
