"""Learning rates over the iterations of a run, as factors, for optimizers that no config describes.

detectron2 builds the same of the keys below SOLVER.
"""

from __future__ import annotations

from collections.abc import Sequence

from detectron2.solver import WarmupParamScheduler
from fvcore.common.param_scheduler import (
    CosineParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
)


def warmup_multi_step(
    *,
    max_iter: int,
    steps: Sequence[int],
    gamma: float = 0.1,
    warmup_iters: int = 1000,
    warmup_factor: float = 0.001,
) -> ParamScheduler:
    """A factor that rises to 1 and falls in steps (WarmupMultiStepLR).

    Args:
        max_iter: iterations of the run.
        steps: iterations after which the factor is multiplied by ``gamma``; those beyond the run
            are passed over.
        warmup_iters: iterations in which it rises linearly from ``warmup_factor``.
    """
    steps = [step for step in steps if step <= max_iter]
    values = [gamma**power for power in range(len(steps) + 1)]
    plain = MultiStepParamScheduler(values=values, milestones=steps, num_updates=max_iter)
    return _with_warmup(plain, max_iter, warmup_iters, warmup_factor)


def warmup_cosine(
    *, max_iter: int, warmup_iters: int = 1000, warmup_factor: float = 0.001
) -> ParamScheduler:
    """A factor that rises to 1 and falls to 0 along a cosine (WarmupCosineLR).

    Args:
        max_iter, warmup_iters, warmup_factor: see :func:`warmup_multi_step`.
    """
    return _with_warmup(CosineParamScheduler(1.0, 0.0), max_iter, warmup_iters, warmup_factor)


def _with_warmup(
    plain: ParamScheduler, max_iter: int, warmup_iters: int, warmup_factor: float
) -> ParamScheduler:
    return WarmupParamScheduler(plain, warmup_factor, min(warmup_iters / max_iter, 1.0))
