"""Trainings of a few steps on drawn data, which may break off and go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils.env import seed_all_rng

from df2s2_d2.training import Trainer


class Interrupted(Exception):
    """Stands for whatever ends a run before its time."""


class Interrupt(HookBase):
    """Breaks off before a step."""

    def __init__(self, stop_at: int) -> None:
        self.stop_at = stop_at

    def before_step(self) -> None:
        if self.trainer.iter == self.stop_at:
            raise Interrupted


class ScriptedTrainer(Trainer):
    """Trains as usual, but its tests give the figures that are prescribed, or raise them."""

    script: list[float | Exception] = []

    @classmethod
    def test(cls, cfg, model, evaluators=None):
        if not cfg.DATASETS.TEST:
            return {}
        figure = cls.script.pop(0)
        if isinstance(figure, Exception):
            raise figure
        return {"wider_face": {"AP_easy": 0.99, "AP_medium": 0.99, "AP_hard": figure}}


def run(
    cfg: CfgNode,
    trainer: type[Trainer] = Trainer,
    *,
    resume: bool = False,
    stop_at: int | None = None,
    script: Sequence[float | Exception] = (),
    hooks: Sequence[HookBase] = (),
) -> Trainer:
    """Train by a config, up to a step that does not come to its end.

    Args:
        cfg: of the training.
        trainer: that does it.
        resume: whether a run in the same folder goes on.
        stop_at: the step; None = up to the end.
        script: see :class:`ScriptedTrainer`.
        hooks: that look on.
    """
    ScriptedTrainer.script = list(script)
    seed_all_rng(cfg.SEED if cfg.SEED >= 0 else None)
    runner = trainer(cfg)
    runner.register_hooks([*([] if stop_at is None else [Interrupt(stop_at)]), *hooks])
    runner.resume_or_load(resume=resume)
    if stop_at is None:
        runner.train()
    else:
        with pytest.raises(Interrupted):
            runner.train()
    return runner


def load(path: Path) -> dict:
    """Read a checkpoint as strangers' files are read: tensors and plain values only."""
    return torch.load(path, map_location="cpu", weights_only=True)


def reports(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def same_weights(a: dict, b: dict) -> bool:
    assert a["model"].keys() == b["model"].keys()
    return all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])
