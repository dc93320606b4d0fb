"""Training and testing: detectron2's DefaultTrainer with this project's data and evaluation."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader
from detectron2.engine import DefaultTrainer, TrainerBase, hooks
from detectron2.evaluation import DatasetEvaluator
from detectron2.solver import LRMultiplier
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, EventWriter, TensorboardXWriter
from torch import nn
from torch.utils.data import DataLoader

from df2s2_d2.config_checks import check_keys_added
from df2s2_d2.config_protocol import protocol_of
from df2s2_d2.data import FaceDatasetMapper, build_mosaic, build_train_loader
from df2s2_d2.evaluation.evaluators import build_evaluator
from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, CarriedConfig
from df2s2_d2.inference.trained_weights import AVERAGE_KEY
from df2s2_d2.modeling.backbone import load_pretrained
from df2s2_d2.modeling.multi_scale import BoundedDetector
from df2s2_d2.training.acceleration import accelerate, use_channels_last
from df2s2_d2.training.best_checkpoint import BestCheckpointer
from df2s2_d2.training.catch_up import CatchUp
from df2s2_d2.training.checkpoints import RunCheckpointer
from df2s2_d2.training.distribution import distribute
from df2s2_d2.training.finite_check import FiniteCheck
from df2s2_d2.training.metrics_file import MetricsWriter
from df2s2_d2.training.optimizer import build_optimizer
from df2s2_d2.training.peak_memory import PeakMemory
from df2s2_d2.training.periodic_checkpoint import PeriodicCheckpointer
from df2s2_d2.training.reproducible_steps import ReproducibleSteps
from df2s2_d2.training.resume import (
    adapt_optimizer_state,
    check_length,
    check_optimizer,
    name_parameters,
    optimizer_name,
    set_step,
    steps_done,
)
from df2s2_d2.training.signals import StopOnSignal, stoppable
from df2s2_d2.training.step import WRITE_PERIOD, build_step
from df2s2_d2.training.trackers import build_tracker_writers
from df2s2_d2.training.weight_average import build_weight_average

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """Train and evaluate face detectors, and any other detectron2 model on the same data."""

    # Steps between two reports of the losses.
    write_period = WRITE_PERIOD

    def __init__(self, cfg: CfgNode):
        # Not DefaultTrainer's own, whose model, step and checkpoints are detectron2's.
        TrainerBase.__init__(self)
        check_keys_added(cfg, "SOLVER.OPTIMIZER")
        cfg = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size())
        model = self.build_model(cfg)
        # Copied before the model gets what cannot be copied.
        self.average = build_weight_average(cfg, model)
        accelerate(model, cfg)
        self._trainer = build_step(
            cfg,
            distribute(model, cfg),
            self.build_train_loader(cfg),
            self.build_optimizer(cfg, model),
            self.average,
            self.write_period,
        )
        self.scheduler = self.build_lr_scheduler(cfg, self.optimizer)
        self.checkpointer = RunCheckpointer(
            self.model,
            cfg.OUTPUT_DIR,
            save_to_disk=comm.is_main_process(),
            trainer=weakref.proxy(self),
            **self.carried_by_checkpoints(cfg),
        )
        if self.average is not None:
            self.checkpointer.add_checkpointable(AVERAGE_KEY, self.average)
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self._stop_on_signal = StopOnSignal()
        self.register_hooks(self.build_hooks())

    @property
    def has_test(self) -> bool:
        """Whether there is something to test on."""
        return bool(self.cfg.DATASETS.TEST)

    @property
    def finite_check(self) -> FiniteCheck:
        """What ends the run if a loss or its gradients are not finite."""
        return self._trainer.finite_check

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        # After the last step the counter is one too high, and a longer run would skip a step.
        state["iteration"] = min(self.iter, self.max_iter - 1)
        state["reference_world_size"] = self.cfg.SOLVER.REFERENCE_WORLD_SIZE
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a run stopped, by the schedule, rates and decays of this one's config."""
        steps = steps_done(state, self.cfg)
        check_length(self.cfg, steps)
        check_optimizer(self.cfg, state, optimizer_name(self.optimizer.param_groups[0]))
        inner = state["_trainer"]
        inner = inner | {"optimizer": adapt_optimizer_state(self.optimizer, inner["optimizer"])}
        state = state | {"iteration": steps - 1, "_trainer": inner}
        if isinstance(self.scheduler, LRMultiplier):
            # Its state would bring the rates of the run before back.
            state["hooks"] = dict(state.get("hooks", {}))
            state["hooks"].pop("LRScheduler", None)
        super().load_state_dict(state)
        set_step(self.scheduler, steps)

    def resume_or_load(self, resume: bool = True) -> None:
        """Go on from the newest checkpoint in OUTPUT_DIR that can be read, or start anew.

        A run that starts anew takes MODEL.BOTTOM_UP.WEIGHTS, and over them MODEL.WEIGHTS.

        Args:
            resume: whether to go on, if there is a checkpoint.

        Raises:
            OSError, ValueError: naming the file and why the run cannot start from it.
        """
        # One process chooses for all of them.
        path = self.checkpointer.get_checkpoint_file() if resume and comm.is_main_process() else ""
        path = comm.all_gather(path)[0]
        if path:
            self._go_on_from(path)
        else:
            self._start_anew()
        if self.average is not None:
            # The run before may have kept no average, and this one may test before its first step.
            self.average.restart()

    def _go_on_from(self, path: str) -> None:
        self.checkpointer.load(path)
        self.start_iter = self.iter + 1
        done = "all of them" if self.start_iter == self.max_iter else self.start_iter
        logger.info(f"Going on from {path}: {done} of {self.max_iter} iterations are done")

    def _start_anew(self) -> None:
        if self.checkpointer.has_last_checkpoint():
            logger.warning(
                f"{self.cfg.OUTPUT_DIR} has checkpoints of another run: until this one saves its "
                "first, --resume would go on from them"
            )
        if self.cfg.MODEL.BOTTOM_UP.WEIGHTS:
            load_pretrained(
                self.checkpointer.model.backbone.bottom_up.network, self.cfg.MODEL.BOTTOM_UP.WEIGHTS
            )
        self.checkpointer.load(self.cfg.MODEL.WEIGHTS, checkpointables=[])

    def train(self):
        """As detectron2's; a signal stops it (:class:`StopOnSignal`)."""
        with self._stop_on_signal:
            return super().train()

    @classmethod
    def carried_by_checkpoints(cls, cfg: CfgNode) -> dict[str, Any]:
        """What checkpoints carry beside the state of the run, by name."""
        return {CONFIG_KEY: CarriedConfig(cfg)}

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        model = super().build_model(cfg)
        if cfg.SOLVER.CHANNELS_LAST:
            use_channels_last(model)
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        optimizer = build_optimizer(cfg, model)
        name_parameters(optimizer, model)
        return optimizer

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> DataLoader:
        return build_train_loader(cfg, FaceDatasetMapper(cfg, is_train=True), build_mosaic(cfg))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str):
        mapper = FaceDatasetMapper(cfg, is_train=False)
        return stoppable(build_detection_test_loader(cfg, dataset_name, mapper=mapper))

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators=None) -> dict:
        """As detectron2's, in bounded memory; with TEST.AUG.ENABLED every test is augmented.

        So the figures of a run, among them the one that chooses its best model, are comparable.
        """
        # Test images are of all sizes, each of which would be compiled anew.
        with torch.compiler.set_stance("force_eager"):
            return super().test(cfg, BoundedDetector(cfg, model), evaluators)

    def evaluate(self) -> dict:
        """Test what a run is judged by: the average of its weights with SOLVER.EMA.ENABLED."""
        model = self.model if self.average is None else self.average.model
        self._last_eval_results = self.test(self.cfg, model)
        return self._last_eval_results

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        output_dir = f"{cfg.OUTPUT_DIR}/inference/{dataset_name}"
        return build_evaluator(dataset_name, output_dir, protocol_of(cfg))

    def tracked_settings(self) -> dict[str, Any]:
        """What trackers show of the run's config, nested, of plain values."""
        return yaml.safe_load(self.cfg.dump())

    def build_writers(self) -> list[EventWriter]:
        folder = self.cfg.OUTPUT_DIR
        os.makedirs(folder, exist_ok=True)
        trainer = weakref.proxy(self)
        return [
            CommonMetricPrinter(self.max_iter),
            MetricsWriter(os.path.join(folder, "metrics.json")),
            *build_tracker_writers(
                self.cfg, self.tracked_settings(), lambda: trainer.start_iter > 0
            ),
            TensorboardXWriter(folder),
        ]

    def build_hooks(self) -> list[hooks.HookBase]:
        """detectron2's hooks, with this project's checkpoints before and the best one behind tests.

        So what was trained is safe whatever becomes of a test.
        """
        solver, test = self.cfg.SOLVER, self.cfg.TEST
        built = super().build_hooks()
        replaced = (hooks.PeriodicCheckpointer, hooks.PeriodicWriter)
        built = [hook for hook in built if not isinstance(hook, replaced)]
        at = next(i for i, hook in enumerate(built) if isinstance(hook, hooks.EvalHook))
        before, behind = built[:at], built[at + 1 :]
        period = test.EVAL_PERIOD if self.has_test else 0
        latest, best, writers = [], [], []
        if comm.is_main_process():
            latest = [PeriodicCheckpointer(solver.CHECKPOINT_PERIOD, solver.CHECKPOINT_KEEP)]
            best = [BestCheckpointer(test.BEST_METRIC)] if period > 0 else []
            writers = [hooks.PeriodicWriter(self.build_writers(), self.write_period)]
        return [
            ReproducibleSteps(),
            PeakMemory(),
            *before,
            *latest,
            hooks.EvalHook(test.EVAL_PERIOD, self.evaluate),
            *best,
            *behind,
            *writers,
            CatchUp(period, test.BEST_METRIC),
            self._stop_on_signal,
        ]
