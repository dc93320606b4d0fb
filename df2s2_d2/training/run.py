"""A training, or an evaluation, as its command line asks for it."""

from __future__ import annotations

import argparse
import logging

from detectron2.config import CfgNode
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from df2s2_d2 import load_config
from df2s2_d2.shipped_configs import config_path
from df2s2_d2.training.endings import one_sentence_endings
from df2s2_d2.training.evaluation import evaluate
from df2s2_d2.training.input_checks import check_inputs
from df2s2_d2.training.launching import launch, one_sentence_errors
from df2s2_d2.training.trainer import Trainer


def run(args: argparse.Namespace) -> None:
    """Train or evaluate in all processes of the run.

    Args:
        args: detectron2's, ``timeout`` in minutes, and ``program``, which stands before messages.

    Raises:
        SystemExit: bad input, told by one sentence; or the code of a process that has failed.
    """
    launch(train_or_evaluate, args, _device_of)


def train_or_evaluate(args: argparse.Namespace):
    """What each process of the run does."""
    logging.captureWarnings(True)
    cfg = setup(args)
    if args.eval_only:
        return evaluate(cfg, resume=args.resume)
    with one_sentence_errors(args.program):
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
    with one_sentence_endings(args.program):
        return trainer.train()


def setup(args: argparse.Namespace) -> CfgNode:
    """Read the config of the command line and check it and its data before anything starts."""
    with one_sentence_errors(args.program):
        cfg = load_config(args.config_file, args.opts)
        check_inputs(cfg, for_training=not args.eval_only, resume=args.resume)
    cfg.freeze()
    if args.config_file:
        args.config_file = config_path(args.config_file)  # detectron2 logs what is in it
    default_setup(cfg, args)
    logger = setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="df2s2_d2")
    logger.propagate = True
    return cfg


def _device_of(args: argparse.Namespace) -> str:
    """Where the command line's config wants to train."""
    return load_config(args.config_file, args.opts).MODEL.DEVICE
