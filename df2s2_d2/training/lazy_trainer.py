"""Training by a LazyConfig: the same run, of parts that are objects instead of keys."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluator
from detectron2.solver import LRMultiplier
from omegaconf import DictConfig
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from df2s2_d2.training.acceleration import use_channels_last
from df2s2_d2.training.lazy_parts import LazyParts
from df2s2_d2.training.lazy_settings import plain_values, run_settings
from df2s2_d2.training.trainer import Trainer


class LazyTrainer(Trainer):
    """The Trainer, whose model, optimizer, schedule, loaders and tests a LazyConfig describes.

    Its checkpoints carry no config: a LazyConfig is code, and a file of weights must not bring any.
    They are those of a run by YAML that has the same model, and either goes on from the other's.

    Args:
        lazy: of :func:`~df2s2_d2.lazy_config.load_lazy_config`.
    """

    def __init__(self, lazy: DictConfig):
        self.parts = LazyParts(lazy)
        self.write_period = lazy.train.get("log_period", self.write_period)
        cfg = run_settings(lazy)
        if not self.has_test:
            cfg.TEST.EVAL_PERIOD = 0
        super().__init__(cfg)

    @property
    def has_test(self) -> bool:
        return self.parts.has_test

    def carried_by_checkpoints(self, cfg: CfgNode) -> dict[str, Any]:
        return {}

    def tracked_settings(self) -> dict[str, Any]:
        return plain_values(self.parts.lazy)

    def build_model(self, cfg: CfgNode) -> nn.Module:
        model = self.parts.model(cfg.MODEL.DEVICE)
        if cfg.SOLVER.CHANNELS_LAST:
            use_channels_last(model)
        return model

    def build_optimizer(self, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        return self.parts.optimizer(model)

    def build_lr_scheduler(self, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRMultiplier:
        return self.parts.scheduler(optimizer)

    def build_train_loader(self, cfg: CfgNode) -> DataLoader:
        return self.parts.train_loader(cfg.SEED)

    def test(
        self, cfg: CfgNode, model: nn.Module, evaluators: list[DatasetEvaluator] | None = None
    ) -> dict:
        """As the sections ``dataloader`` and ``test_detector`` say."""
        if not self.has_test:
            return {}
        inner = model.module if isinstance(model, DistributedDataParallel) else model
        return self.parts.test(inner, cfg.MODEL.WEIGHTS)
