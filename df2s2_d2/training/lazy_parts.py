"""The parts of a run that a LazyConfig describes, built when they are needed."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, instantiate
from detectron2.evaluation import inference_on_dataset, print_csv_format
from detectron2.solver import LRMultiplier
from detectron2.utils import comm
from fvcore.common.param_scheduler import ParamScheduler
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader

from df2s2_d2.config_protocol import augmented_sizes, resize_rule, weights_under_test
from df2s2_d2.evaluation.evaluators import FDDBEvaluator, WiderFaceEvaluator, build_evaluator
from df2s2_d2.evaluation.protocol import Protocol
from df2s2_d2.modeling import DenseDetectorWithTTA, FaceDetector
from df2s2_d2.modeling.multi_scale import BoundedDetector
from df2s2_d2.test_protocols import TEST_PROTOCOLS, published_config
from df2s2_d2.training.resume import name_parameters
from df2s2_d2.training.signals import stoppable

# Evaluators that print the protocol of a test beside its figures.
_TELL_PROTOCOL = (build_evaluator, FDDBEvaluator, WiderFaceEvaluator)


class LazyParts:
    """What the sections of a LazyConfig describe.

    Args:
        lazy: of :func:`~df2s2_d2.lazy_config.load_lazy_config`; it is not changed.
    """

    def __init__(self, lazy: DictConfig):
        self.lazy = lazy

    @property
    def has_test(self) -> bool:
        """Whether there is a data set to be tested on, and an evaluator."""
        return "test" in self.lazy.dataloader and "evaluator" in self.lazy.dataloader

    def model(self, device: str) -> nn.Module:
        """The model, untrained."""
        return instantiate(self.lazy.model).to(device)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of a model, whose state will say which parameter is which."""
        node = self.lazy.optimizer.copy()
        node.params.model = model
        optimizer = instantiate(node)
        name_parameters(optimizer, model)
        return optimizer

    def schedule(self) -> ParamScheduler:
        """The factor on the learning rates over the run."""
        return instantiate(self.lazy.lr_multiplier)

    def scheduler(self, optimizer: torch.optim.Optimizer) -> LRMultiplier:
        """The learning rates of an optimizer."""
        return LRMultiplier(optimizer, self.schedule(), self.lazy.train.max_iter)

    def train_loader(self, seed: int) -> DataLoader:
        """The loader of training batches.

        Args:
            seed: of those that take one; below 0 what the LazyConfig says.
        """
        node = self.lazy.dataloader.train
        if seed >= 0 and "seed" in node:
            node = node.copy()
            node.seed = seed
        return instantiate(node)

    def test(self, model: nn.Module, weights: str) -> dict[str, Any]:
        """Test a model as the LazyConfig says, in bounded memory if it has a ``test_detector``.

        Args:
            model: in this process.
            weights: file that its weights are from, of no account inside a training loop.

        Returns:
            Benchmark -> figures, on the main process.
        """
        detector = self.test_detector(model)
        evaluator = self.lazy.dataloader.evaluator
        if isinstance(detector, BoundedDetector) and evaluator._target_ in _TELL_PROTOCOL:
            evaluator = evaluator.copy()
            evaluator.protocol = protocol_of(detector, weights)
        loader = stoppable(instantiate(self.lazy.dataloader.test))
        # Test images are of all sizes, each of which would be compiled anew.
        with torch.compiler.set_stance("force_eager"):
            results = inference_on_dataset(detector, loader, instantiate(evaluator))
        if comm.is_main_process():
            print_csv_format(results)
        return results

    def test_detector(self, model: nn.Module) -> nn.Module:
        """What a test runs: what ``test_detector`` makes of the model, else the model itself."""
        if "test_detector" not in self.lazy:
            return model
        node = self.lazy.test_detector.copy()
        node.model = model
        return instantiate(node)


def protocol_of(detector: BoundedDetector, weights: str) -> Protocol:
    """How a detector looks at the images of a test.

    Args:
        detector: as it is tested.
        weights: file that its weights are from, of no account inside a training loop.
    """
    options, scales = detector.options, detector.choice.scales
    if detector.is_augmented:
        largest = detector.choice.max_pixels if options.get("over_budget") == "skip" else None
        size = augmented_sizes(scales, options["merge"], largest)
    else:
        size = {"resize": resize_rule(scales[0])}
    return Protocol(
        name=_protocol_name(detector),
        **size,
        score_threshold=getattr(detector.model, "score_threshold", None),
        nms_threshold=getattr(detector.model, "nms_threshold", None),
        max_detections=getattr(detector.model, "max_detections", None),
        **weights_under_test(weights),
    )


def _protocol_name(detector: BoundedDetector) -> str:
    """The published test that a detector makes; "" if it is none of them."""
    if not isinstance(detector.model, FaceDetector):  # whose thresholds are others
        return ""
    for name in TEST_PROTOCOLS:
        cfg = published_config(name)
        is_kept_alike = _kept_detections(detector.model) == _kept_as_published(cfg)
        if is_kept_alike and _looks(detector) == _looks(BoundedDetector(cfg, detector.model)):
            return name
    return ""


def _kept_detections(model: FaceDetector) -> tuple:
    return (
        model.score_threshold,
        model.num_candidates,
        model.nms_threshold,
        model.max_detections,
        model.round_boxes_outward,
    )


def _kept_as_published(cfg: CfgNode) -> tuple:
    """What :func:`_kept_detections` is of a model by a config."""
    keys = cfg.MODEL.FACE_DETECTOR
    return (
        keys.SCORE_THRESH_TEST,
        keys.TOPK_CANDIDATES_TEST,
        keys.NMS_THRESH_TEST,
        cfg.TEST.DETECTIONS_PER_IMAGE,
        keys.ROUND_OUTWARD,
    )


def _looks(detector: BoundedDetector) -> tuple:
    """In which sizes a detector looks at each image, and how it merges what it finds in them."""
    if not detector.is_augmented:
        return detector.choice.scales
    merging = DenseDetectorWithTTA(
        model=detector.model, scales=detector.choice.scales, **detector.options
    )
    return (
        detector.choice.scales,
        merging.over_budget,
        merging.merge,
        merging.vote_iou,
        merging.keep_single_votes,
        merging.nms_threshold,
        merging.max_detections,
    )
