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
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import nn

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.evaluation.evaluators import FDDBEvaluator, WiderFaceEvaluator
from df2s2_d2.evaluation.protocol import Protocol, file_sha256
from df2s2_d2.hardware import multiplies_bfloat16_fast
from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, CarriedConfig
from df2s2_d2.inference.trained_weights import check_weights_file
from df2s2_d2.modeling.backbone import load_pretrained
from df2s2_d2.modeling.image_scales import image_scales
from df2s2_d2.modeling.postprocessing import detection_thresholds
from df2s2_d2.modeling.test_time_augmentation import (
    check_test_time_augmentation,
    with_test_time_augmentation,
)

__all__ = ["BestCheckpointer", "Trainer", "check_inputs", "check_weights", "protocol_of"]


# Steps between two reports of detectron2's writers.
_WRITE_PERIOD = 20

# By the evaluator_type in the metadata of a data set.
_EVALUATORS = {"fddb": FDDBEvaluator, "wider_face": WiderFaceEvaluator}


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
        """As detectron2's; with TEST.AUG.ENABLED every test of the run is augmented.

        So the figures of a run, among them the one that chooses its best model, are comparable.
        """
        return super().test(cfg, with_test_time_augmentation(cfg, model), evaluators)

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


def check_inputs(cfg: CfgNode) -> None:
    """Check what a run will need only later: annotations, weights and keys of its tests.

    Raises:
        FileNotFoundError, ValueError: what is wrong, and where.
    """
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        if name not in DatasetCatalog:
            raise ValueError(
                f"Data set {name!r} of DATASETS.TRAIN or DATASETS.TEST is not registered: use "
                "wider_face_train, wider_face_val, wider_face_test or fddb, or call "
                "register_wider_face or register_fddb"
            )
        DatasetCatalog.get(name)
    check_test_time_augmentation(cfg)
    check_weights(cfg)
    check_weights_file("MODEL.BOTTOM_UP.WEIGHTS", cfg.MODEL.BOTTOM_UP.WEIGHTS)


def check_weights(cfg: CfgNode) -> None:
    """Check that MODEL.WEIGHTS, if set, is there and is not a pickle of unknown origin.

    Raises:
        FileNotFoundError, ValueError: what is wrong, and where.
    """
    check_weights_file("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)


def protocol_of(cfg: CfgNode) -> Protocol:
    """How test images are scaled, by which weights faces are sought, and which of them are kept.

    Weights are named by the file MODEL.WEIGHTS; inside a training loop, where they lie in no file
    yet, by the iteration as metrics.json gives it.
    """
    size = cfg.INPUT.MIN_SIZE_TEST
    resize = f"short side {size}" if size else "original size"
    if size and cfg.INPUT.MAX_SIZE_TEST:
        resize += f", long side at most {cfg.INPUT.MAX_SIZE_TEST}"
    thresholds = detection_thresholds(cfg)
    path = cfg.MODEL.WEIGHTS
    in_training = has_event_storage()
    return Protocol(
        **(_augmented_sizes(cfg) if cfg.TEST.AUG.ENABLED else {"resize": resize}),
        score_threshold=thresholds.get("SCORE_THRESH_TEST"),
        nms_threshold=thresholds.get("NMS_THRESH_TEST"),
        max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        weights=f"iteration {get_event_storage().iter}" if in_training else os.path.basename(path),
        weights_sha256=file_sha256(path) if not in_training and os.path.isfile(path) else "",
    )


def _augmented_sizes(cfg: CfgNode) -> dict:
    """What a protocol says of the copies of an image and their merge."""
    aug, scales = cfg.TEST.AUG, image_scales(cfg)
    flip = all(scale.flip for scale in scales)
    merge = "box voting" if aug.MERGE == "box_voting" else "merged by NMS"
    if aug.OVER_BUDGET == "skip":
        merge += f", enlarged to at most {aug.MAX_PIXELS} pixels"
    return {
        "resize": "multi-scale",
        "scales": tuple(f"{s} + flip" if s.flip and not flip else str(s) for s in scales),
        "flip": flip,
        "merge": merge,
    }
