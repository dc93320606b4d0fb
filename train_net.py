#!/usr/bin/env python3
"""Train and evaluate face detectors.

    python train_net.py --config-file configs/DF2S2/DF2S2_R50.yaml --num-gpus 4
    torchrun --standalone --nproc-per-node 4 train_net.py --config-file CONFIG
    srun --ntasks-per-node 4 python train_net.py --config-file CONFIG
    python train_net.py --config-file CONFIG --resume
    python train_net.py --config-file CONFIG --eval-only MODEL.WEIGHTS output/model_final.pth

Options are detectron2's; ``KEY VALUE`` pairs at the end override the config. SIGTERM, SIGINT and
SIGUSR1 stop a training after its step, with a checkpoint and exit code 128 + signal: --resume goes
on with the next step. tools/slurm_train.sh is a job that starts itself again.
"""

from __future__ import annotations

import argparse
import logging

from detectron2.config import CfgNode
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from df2s2_d2 import load_config
from df2s2_d2.training import Trainer, check_inputs, evaluate, one_sentence_endings
from df2s2_d2.training.launching import argument_parser, launch, one_sentence_errors


def setup(args: argparse.Namespace) -> CfgNode:
    """Read the config of the command line and check it and its data before anything starts."""
    with one_sentence_errors():
        cfg = load_config(args.config_file, args.opts)
        check_inputs(cfg, for_training=not args.eval_only, resume=args.resume)
    cfg.freeze()
    default_setup(cfg, args)
    logger = setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="df2s2_d2")
    logger.propagate = True
    return cfg


def device_of(args: argparse.Namespace) -> str:
    """Where the command line's config wants to train."""
    return load_config(args.config_file, args.opts).MODEL.DEVICE


def main(args: argparse.Namespace):
    logging.captureWarnings(True)
    cfg = setup(args)
    if args.eval_only:
        return evaluate(cfg, resume=args.resume)
    with one_sentence_errors():
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=args.resume)
    with one_sentence_endings("train_net.py"):
        return trainer.train()


if __name__ == "__main__":
    launch(main, argument_parser(epilog=__doc__).parse_args(), device_of)
