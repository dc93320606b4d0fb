"""A training, or an evaluation, by a LazyConfig, as its command line asks for it."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from detectron2.config import CfgNode, instantiate
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig
from torch import nn

from df2s2_d2.inference.trained_weights import load_trained
from df2s2_d2.lazy_config import lazy_config_path, load_lazy_config
from df2s2_d2.modeling import FaceDetector, PyramidBackbone
from df2s2_d2.training.acceleration import check_switches
from df2s2_d2.training.data_checks import check_data_sets
from df2s2_d2.training.endings import one_sentence_endings
from df2s2_d2.training.evaluation import weights_to_evaluate
from df2s2_d2.training.input_checks import on_main_process
from df2s2_d2.training.launching import launch, one_sentence_errors
from df2s2_d2.training.lazy_parts import LazyParts
from df2s2_d2.training.lazy_settings import in_lazy_words, run_settings
from df2s2_d2.training.lazy_trainer import LazyTrainer
from df2s2_d2.training.model_checks import check_device
from df2s2_d2.training.resume import check_start, optimizer_name
from df2s2_d2.training.schedule_checks import check_bottom_up_rate, check_counts
from df2s2_d2.training.trackers import check_trackers


def run(args: argparse.Namespace) -> None:
    """Train or evaluate in all processes of the run.

    Args:
        args: as :func:`df2s2_d2.training.run.run` takes them; ``opts`` are ``key=value``.

    Raises:
        SystemExit: bad input, told by one sentence; or the code of a process that has failed.
    """
    with in_lazy_words():
        launch(train_or_evaluate, args, _device_of)


def train_or_evaluate(args: argparse.Namespace):
    """What each process of the run does."""
    logging.captureWarnings(True)
    lazy = setup(args)
    if args.eval_only:
        return evaluate(lazy, resume=args.resume)
    with one_sentence_errors(args.program), in_lazy_words():
        trainer = LazyTrainer(lazy)
        trainer.resume_or_load(resume=args.resume)
    with one_sentence_endings(args.program), in_lazy_words():
        return trainer.train()


def setup(args: argparse.Namespace) -> DictConfig:
    """Read the LazyConfig of the command line, and check it and its data before anything starts."""
    with one_sentence_errors(args.program), in_lazy_words():
        lazy = load_lazy_config(args.config_file, args.opts)
        check_inputs(lazy, for_training=not args.eval_only, resume=args.resume)
    args.config_file = lazy_config_path(args.config_file)  # detectron2 logs what is in it
    default_setup(lazy, args)
    folder = lazy.train.output_dir
    logger = setup_logger(folder, distributed_rank=comm.get_rank(), name="df2s2_d2")
    logger.propagate = True
    return lazy


def evaluate(lazy: DictConfig, resume: bool = False) -> dict:
    """Score a trained detector, the file ``train.init_checkpoint``.

    Args:
        lazy: of the detector.
        resume: score the newest checkpoint in ``train.output_dir`` instead.

    Returns:
        Benchmark -> figures, on the main process.
    """
    parts, cfg = LazyParts(lazy), run_settings(lazy)
    path = weights_to_evaluate(cfg, resume)
    model = _without_training_parts(parts.model(cfg.MODEL.DEVICE)).eval()
    load_trained(model, path)
    return parts.test(model, path)


def check_inputs(lazy: DictConfig, for_training: bool = True, resume: bool = False) -> None:
    """Check what a run will need only later: settings, parts, weights and data, in this order.

    Args:
        lazy: of the run.
        for_training, resume: see :func:`df2s2_d2.training.input_checks.check_inputs`.

    Raises:
        OSError, ValueError: what is wrong, where, and what to do.
    """
    parts, cfg = LazyParts(lazy), run_settings(lazy)
    check_device(cfg)
    model = _build_untrained(parts)
    if for_training:
        check_switches(cfg)
        check_counts(cfg, comm.get_world_size())
        check_bottom_up_rate(cfg)
        with _naming("lr_multiplier"):
            parts.schedule()(0.0)
        with _naming("optimizer"):
            cfg.SOLVER.OPTIMIZER = optimizer_name(parts.optimizer(model).param_groups[0])
        _check_bottom_up(cfg, model)
        check_start(cfg, model, resume)
        on_main_process(partial(check_trackers, cfg))
    else:
        if not parts.has_test:
            raise ValueError("The LazyConfig has no dataloader.test and dataloader.evaluator")
        load_trained(_without_training_parts(model), weights_to_evaluate(cfg, resume))
    with _naming("test_detector"):
        parts.test_detector(model)
    for split in ("train", "test") if for_training else ("test",):
        with _naming(f"dataloader.{split}.mapper"):
            instantiate(lazy.dataloader.get(split, {}).get("mapper"))
    if for_training:
        with _naming("dataloader.train.mosaic"):
            instantiate(lazy.dataloader.train.get("mosaic"))
    # What is given by other than names is known to its loader alone.
    trains_by_name = for_training and bool(cfg.DATASETS.TRAIN)
    if trains_by_name or cfg.DATASETS.TEST:
        on_main_process(partial(check_data_sets, cfg, trains_by_name))


def _build_untrained(parts: LazyParts) -> nn.Module:
    with _naming("model"), torch.random.fork_rng(devices=[]):
        return parts.model("cpu")


def _check_bottom_up(cfg: CfgNode, model: nn.Module) -> None:
    backbone = getattr(model, "backbone", model)
    if cfg.MODEL.BOTTOM_UP.WEIGHTS and not isinstance(backbone, PyramidBackbone):
        raise ValueError(
            f"MODEL.BOTTOM_UP.WEIGHTS is {cfg.MODEL.BOTTOM_UP.WEIGHTS!r}, but a "
            f'{type(backbone).__name__} takes no weights from there: set it to ""'
        )


def _without_training_parts(model: nn.Module) -> nn.Module:
    if isinstance(model, FaceDetector):
        model.drop_training_parts()
    return model


@contextmanager
def _naming(section: str) -> Iterator[None]:
    """Whatever a part stumbles over becomes one error that says which section describes it."""
    try:
        yield
    except Exception as error:  # of many types, as parts stumble over their arguments
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"No {section} can be built of the LazyConfig: {what}") from error


def _device_of(args: argparse.Namespace) -> str:
    """Where the command line's config wants to train."""
    return run_settings(load_lazy_config(args.config_file, args.opts)).MODEL.DEVICE
