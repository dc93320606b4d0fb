"""Training and testing: detectron2's DefaultTrainer with this project's data and evaluation."""

from __future__ import annotations

import contextlib
import logging
import math
import os

import torch
from detectron2.config import CfgNode
from detectron2.data import (
    DatasetCatalog,
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.engine import DefaultTrainer, hooks
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.evaluation.evaluators import WiderFaceEvaluator
from df2s2_d2.modeling.backbone import load_pretrained

__all__ = ["BestCheckpointer", "Trainer", "check_inputs", "check_weights", "describe_protocol"]


# Steps between two reports of detectron2's writers.
_WRITE_PERIOD = 20


class BestCheckpointer(hooks.BestCheckpointer):
    """detectron2's hook, but a resumed run remembers the best figure of the run it continues."""

    def state_dict(self) -> dict:
        best = self.best_metric, self.best_iter
        # The best model is saved before its figure is noted, and its own checkpoint is to know it.
        latest = self.trainer.storage.latest().get(self._val_metric)
        if latest and math.isfinite(latest[0]):
            if self.best_metric is None or self._compare(latest[0], self.best_metric):
                best = latest
        return {"best_metric": best[0], "best_iter": best[1]}

    def load_state_dict(self, state: dict) -> None:
        self.best_metric, self.best_iter = state["best_metric"], state["best_iter"]


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
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        kind = MetadataCatalog.get(dataset_name).get("evaluator_type")
        if kind != "wider_face":
            raise ValueError(
                f"No evaluator for data set {dataset_name!r}: its metadata says evaluator_type "
                f"{kind!r}; register it with register_wider_face"
            )
        return WiderFaceEvaluator(
            dataset_name,
            output_dir=f"{cfg.OUTPUT_DIR}/inference/{dataset_name}",
            protocol=describe_protocol(cfg),
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
    """bfloat16 autocast where the processor computes in it; elsewhere it would only be slower."""
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.autocast("cpu", dtype=torch.bfloat16)
    logging.getLogger(__name__).warning(
        "This processor has no bfloat16 arithmetic: SOLVER.AMP.ENABLED is passed over"
    )
    return None


def check_inputs(cfg: CfgNode) -> None:
    """Check all that a run will read, before it starts: annotations and weights.

    Raises:
        FileNotFoundError, ValueError: what is wrong, and where.
    """
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        if name not in DatasetCatalog:
            raise ValueError(
                f"Data set {name!r} of DATASETS.TRAIN or DATASETS.TEST is not registered: use "
                "wider_face_train, wider_face_val or wider_face_test, or call register_wider_face"
            )
        DatasetCatalog.get(name)
    check_weights(cfg)
    _check_path("MODEL.BOTTOM_UP.WEIGHTS", cfg.MODEL.BOTTOM_UP.WEIGHTS)


def check_weights(cfg: CfgNode) -> None:
    """Check that MODEL.WEIGHTS, if set, is there and is not a pickle of unknown origin.

    Raises:
        FileNotFoundError, ValueError: what is wrong, and where.
    """
    _check_path("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)


def _check_path(key: str, path: str) -> None:
    if path.endswith(".pkl") and not path.startswith("detectron2://"):
        raise ValueError(
            f"{key} is {path!r}: pickles are not loaded, as they can run code; save the weights "
            "with torch.save({'model': state_dict}, 'FILE.pth')"
        )
    if path and "://" not in path and not os.path.isfile(path):
        raise FileNotFoundError(
            f"{key} is {path!r}, but there is no such file: give the path of a file, or '' to "
            "start without it"
        )


def describe_protocol(cfg: CfgNode) -> str:
    """How test images are scaled and detections selected, in one line."""
    size = cfg.INPUT.MIN_SIZE_TEST
    scale = f"short side {size}" if size else "original size"
    if size and cfg.INPUT.MAX_SIZE_TEST:
        scale += f", long side at most {cfg.INPUT.MAX_SIZE_TEST}"
    detector = cfg.MODEL.FACE_DETECTOR
    return (
        f"{scale}, score > {detector.SCORE_THRESH_TEST}, NMS {detector.NMS_THRESH_TEST}, "
        f"{cfg.TEST.DETECTIONS_PER_IMAGE} boxes"
    )
