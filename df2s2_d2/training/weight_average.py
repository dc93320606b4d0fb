"""Exponential moving average of a model's weights, which often detects better than the latest."""

from __future__ import annotations

import copy
from typing import Any

import torch
from detectron2.config import CfgNode
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """Keeps a copy of a model at the moving average of its weights.

    The statistics of batch norms are averaged like weights, as those of averaged weights lie near
    their average; whole numbers are copied. While the average is young its decay is less,
    (1 + n) / (10 + n) after n steps, so that it forgets where the training started.

    Args:
        model: what is averaged; copied as it is.
        decay: share of the average that a step keeps, below 1.

    Attributes:
        model: the copy, in evaluation mode.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.num_updates = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        pairs = list(
            zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        )
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def restart(self) -> None:
        """Begin with the weights that the model has by now, if no step was taken in so far."""
        if self.num_updates:
            return
        for own, original in self._averaged + self._copied:
            own.copy_(original)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of the model behind a step; the first are taken as they are."""
        count = self.num_updates
        decay = min(self.decay, (1 + count) / (10 + count)) if count else 0.0
        averages, latest = map(list, zip(*self._averaged, strict=True))
        get_ema_multi_avg_fn(decay)(averages, latest, count)
        for copied, original in self._copied:
            copied.copy_(original)
        self.num_updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "num_updates": self.num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.num_updates = state["num_updates"]


def check_decay(cfg: CfgNode) -> None:
    """Check SOLVER.EMA.DECAY.

    Raises:
        ValueError: if it is no share.
    """
    if not 0 <= cfg.SOLVER.EMA.DECAY < 1:
        raise ValueError(
            f"SOLVER.EMA.DECAY must be 0 or more, below 1, found {cfg.SOLVER.EMA.DECAY}"
        )


def build_weight_average(cfg: CfgNode, model: nn.Module) -> WeightAverage | None:
    """The average that SOLVER.EMA asks for, None for none."""
    check_decay(cfg)
    return WeightAverage(model, cfg.SOLVER.EMA.DECAY) if cfg.SOLVER.EMA.ENABLED else None
