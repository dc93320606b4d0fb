"""Training and testing: detectron2's DefaultTrainer with this project's data and evaluation."""

from __future__ import annotations

import weakref

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import (
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.engine import DefaultTrainer, TrainerBase, hooks
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from torch import nn

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.evaluation.evaluators import FDDBEvaluator, WiderFaceEvaluator
from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, CarriedConfig
from df2s2_d2.inference.trained_weights import AVERAGE_KEY
from df2s2_d2.modeling.backbone import load_pretrained
from df2s2_d2.modeling.test_time_augmentation import with_test_time_augmentation
from df2s2_d2.training.acceleration import accelerate, use_channels_last
from df2s2_d2.training.best_checkpoint import BestCheckpointer
from df2s2_d2.training.distribution import distribute
from df2s2_d2.training.optimizer import build_sgd
from df2s2_d2.training.protocol import protocol_of
from df2s2_d2.training.step import build_step
from df2s2_d2.training.weight_average import build_weight_average

# By the evaluator_type in the metadata of a data set.
_EVALUATORS = {"fddb": FDDBEvaluator, "wider_face": WiderFaceEvaluator}


class Trainer(DefaultTrainer):
    """Train and evaluate face detectors, and any other detectron2 model on the same data."""

    def __init__(self, cfg: CfgNode):
        # Not DefaultTrainer's own, whose model and step are detectron2's.
        TrainerBase.__init__(self)
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
        )
        self.scheduler = self.build_lr_scheduler(cfg, self.optimizer)
        self.checkpointer = DetectionCheckpointer(
            self.model, cfg.OUTPUT_DIR, trainer=weakref.proxy(self)
        )
        self.checkpointer.add_checkpointable(CONFIG_KEY, CarriedConfig(cfg))
        if self.average is not None:
            self.checkpointer.add_checkpointable(AVERAGE_KEY, self.average)
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self.register_hooks(self.build_hooks())

    def state_dict(self) -> dict:
        state = super().state_dict()
        # After the last step the counter is one too high, and a longer run would skip a step.
        state["iteration"] = min(self.iter, self.max_iter - 1)
        return state

    def resume_or_load(self, resume: bool = True) -> None:
        """As detectron2's; a run that starts anew first takes MODEL.BOTTOM_UP.WEIGHTS."""
        path = self.cfg.MODEL.BOTTOM_UP.WEIGHTS
        if path and not (resume and self.checkpointer.has_checkpoint()):
            load_pretrained(self.checkpointer.model.backbone.bottom_up.network, path)
        super().resume_or_load(resume)

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        model = super().build_model(cfg)
        if cfg.SOLVER.CHANNELS_LAST:
            use_channels_last(model)
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        return build_sgd(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode):
        return build_detection_train_loader(cfg, mapper=FaceDatasetMapper(cfg, is_train=True))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str):
        mapper = FaceDatasetMapper(cfg, is_train=False)
        return build_detection_test_loader(cfg, dataset_name, mapper=mapper)

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators=None) -> dict:
        """As detectron2's; with TEST.AUG.ENABLED every test of the run is augmented.

        So the figures of a run, among them the one that chooses its best model, are comparable.
        """
        # Test images are of all sizes, each of which would be compiled anew.
        with torch.compiler.set_stance("force_eager"):
            return super().test(cfg, with_test_time_augmentation(cfg, model), evaluators)

    def evaluate(self) -> dict:
        """Test what a run is judged by: the average of its weights with SOLVER.EMA.ENABLED."""
        model = self.model if self.average is None else self.average.model
        self._last_eval_results = self.test(self.cfg, model)
        return self._last_eval_results

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        kind = MetadataCatalog.get(dataset_name).get("evaluator_type")
        if kind not in _EVALUATORS:
            raise ValueError(
                f"No evaluator for data set {dataset_name!r}: its metadata says evaluator_type "
                f"{kind!r}; register it with register_wider_face or register_fddb"
            )
        return _EVALUATORS[kind](
            dataset_name,
            output_dir=f"{cfg.OUTPUT_DIR}/inference/{dataset_name}",
            protocol=protocol_of(cfg),
        )

    def build_hooks(self) -> list:
        """detectron2's hooks with a best checkpoint after, and the periodic one behind, tests."""
        all_hooks = [
            hooks.EvalHook(self.cfg.TEST.EVAL_PERIOD, self.evaluate)
            if isinstance(hook, hooks.EvalHook)
            else hook
            for hook in super().build_hooks()
        ]
        periodic = [h for h in all_hooks if isinstance(h, hooks.PeriodicCheckpointer)]
        others = [h for h in all_hooks if h not in periodic]
        after_eval = 1 + next(i for i, h in enumerate(others) if isinstance(h, hooks.EvalHook))
        # The periodic checkpoint comes last, so that it knows of the best figure up to its step.
        savers = periodic if comm.is_main_process() else []
        if savers and self.cfg.DATASETS.TEST and self.cfg.TEST.EVAL_PERIOD > 0:
            best = BestCheckpointer(
                self.cfg.TEST.EVAL_PERIOD, self.checkpointer, self.cfg.TEST.BEST_METRIC
            )
            savers = [best, *savers]
        return others[:after_eval] + savers + others[after_eval:]
