"""Training and testing: detectron2's DefaultTrainer with this project's data and evaluation."""

from __future__ import annotations

import contextlib
import logging

import torch
from detectron2.config import CfgNode
from detectron2.data import (
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.engine import DefaultTrainer, hooks
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from torch import nn

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.evaluation.evaluators import FDDBEvaluator, WiderFaceEvaluator
from df2s2_d2.hardware import multiplies_bfloat16_fast
from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, CarriedConfig
from df2s2_d2.modeling.backbone import load_pretrained
from df2s2_d2.modeling.bounded_detector import BoundedDetector
from df2s2_d2.training.best_checkpoint import BestCheckpointer
from df2s2_d2.training.protocol import protocol_of

# Steps between two reports of detectron2's writers.
_WRITE_PERIOD = 20

# By the evaluator_type in the metadata of a data set.
_EVALUATORS = {"fddb": FDDBEvaluator, "wider_face": WiderFaceEvaluator}


class Trainer(DefaultTrainer):
    """Train and evaluate face detectors, and any other detectron2 model on the same data."""

    def __init__(self, cfg: CfgNode):
        on_cpu = cfg.MODEL.DEVICE == "cpu"
        self._autocast = _cpu_autocast() if on_cpu and cfg.SOLVER.AMP.ENABLED else None
        if on_cpu and cfg.SOLVER.AMP.ENABLED:
            # detectron2's mixed precision is for GPUs only; on a CPU it is a matter of autocast.
            cfg = cfg.clone()
            cfg.defrost()
            cfg.SOLVER.AMP.ENABLED = False
        super().__init__(cfg)
        self.checkpointer.add_checkpointable(CONFIG_KEY, CarriedConfig(cfg))
        if not on_cpu:
            # Reading losses makes the GPU wait, so they are read only when they are written.
            self._trainer.gather_metric_period = _WRITE_PERIOD

    def state_dict(self) -> dict:
        state = super().state_dict()
        # After the last step the counter is one too high, and a longer run would skip a step.
        state["iteration"] = min(self.iter, self.max_iter - 1)
        return state

    def run_step(self) -> None:
        with self._autocast or contextlib.nullcontext():
            super().run_step()

    def resume_or_load(self, resume: bool = True) -> None:
        """As detectron2's; a run that starts anew first takes MODEL.BOTTOM_UP.WEIGHTS."""
        path = self.cfg.MODEL.BOTTOM_UP.WEIGHTS
        if path and not (resume and self.checkpointer.has_checkpoint()):
            load_pretrained(self.checkpointer.model.backbone.bottom_up.network, path)
        super().resume_or_load(resume)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode):
        return build_detection_train_loader(cfg, mapper=FaceDatasetMapper(cfg, is_train=True))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str):
        mapper = FaceDatasetMapper(cfg, is_train=False)
        return build_detection_test_loader(cfg, dataset_name, mapper=mapper)

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators=None) -> dict:
        """As detectron2's, in bounded memory; with TEST.AUG.ENABLED every test is augmented.

        So the figures of a run, among them the one that chooses its best model, are comparable.
        """
        return super().test(cfg, BoundedDetector(cfg, model), evaluators)

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
        all_hooks = super().build_hooks()
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


def _cpu_autocast() -> contextlib.AbstractContextManager | None:
    """bfloat16 autocast where the processor is fast in it; elsewhere it would only be slower."""
    if multiplies_bfloat16_fast(torch.device("cpu")):
        return torch.autocast("cpu", dtype=torch.bfloat16)
    logging.getLogger(__name__).warning(
        "This processor is not faster in bfloat16 than in float32: SOLVER.AMP.ENABLED is passed "
        "over"
    )
    return None
