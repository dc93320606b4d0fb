"""Short runs that go on, with what each of their steps saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase

from df2s2_d2.training import Trainer
from tests.small_runs import smallest_config
from tests.training import short_runs


def watched_config(folder: Path, **overrides) -> CfgNode:
    """Of a tiny run on the drawn data, which leaves a checkpoint after every step."""
    return smallest_config(
        **{
            "DATASETS__TRAIN": ("drawn_train",),
            "DATASETS__TEST": (),
            "INPUT__MIN_SIZE_TRAIN": (64,),
            "INPUT__PHOTOMETRIC_DISTORTION": True,
            "SOLVER__CHECKPOINT_PERIOD": 1,
            "OUTPUT_DIR": str(folder),
            **overrides,
        }
    )


class Watch(HookBase):
    """Notes what every step saw, drew and lost."""

    def __init__(self) -> None:
        self.steps = {}

    def before_step(self) -> None:
        model = self.trainer._trainer.model
        self._handle = model.register_forward_hook(self._look)

    def _look(self, model, inputs, losses) -> None:
        images = [(Path(i["file_name"]).name, int(i["image"].sum())) for i in inputs[0]]
        rates = [group["lr"] for group in self.trainer.optimizer.param_groups]
        total = sum(losses.values()).item()
        self.steps[self.trainer.iter] = images, total, rates, torch.rand(1).item()

    def after_step(self) -> None:
        self._handle.remove()


def watched_run(
    cfg: CfgNode,
    stop_at: int | None = None,
    resume: bool = True,
    figures: Sequence[float | Exception] = (),
) -> tuple[Trainer, dict[int, tuple]]:
    """Train by `cfg`, up to a step that does not come to its end.

    Returns:
        The trainer, and for each of its steps what :class:`Watch` noted.
    """
    watch = Watch()
    trainer = short_runs.run(
        cfg,
        short_runs.ScriptedTrainer,
        resume=resume,
        stop_at=stop_at,
        script=figures,
        hooks=[watch],
    )
    return trainer, watch.steps
