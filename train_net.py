#!/usr/bin/env python3
"""Train and evaluate face detectors.

    python train_net.py --config-file configs/DF2S2/DF2S2_R50.yaml --num-gpus 4
    python train_net.py --config-file CONFIG --resume
    python train_net.py --config-file CONFIG --eval-only MODEL.WEIGHTS output/model_final.pth

All options are detectron2's; ``KEY VALUE`` pairs at the end override the config.
"""

from __future__ import annotations

import argparse
import logging
import sys

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.engine import default_argument_parser, default_setup, launch

from df2s2_d2 import load_config
from df2s2_d2.training import Trainer, check_inputs


def setup(args: argparse.Namespace) -> CfgNode:
    """Read the config of the command line and check it and its data before anything starts."""
    try:
        cfg = load_config(args.config_file, args.opts)
        check_inputs(cfg)
    except (OSError, ValueError) as error:
        sys.exit(f"train_net.py: {error}")
    cfg.freeze()
    default_setup(cfg, args)
    return cfg


def main(args: argparse.Namespace):
    cfg = setup(args)
    if args.eval_only:
        model = Trainer.build_model(cfg)
        checkpointer = DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR)
        if args.resume and checkpointer.has_checkpoint():
            # The figures are to name the weights that they belong to.
            cfg = cfg.clone()
            cfg.defrost()
            cfg.MODEL.WEIGHTS = checkpointer.get_checkpoint_file()
        checkpointer.load(cfg.MODEL.WEIGHTS)
        return Trainer.test(cfg, model)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


if __name__ == "__main__":
    arguments = default_argument_parser(epilog=__doc__).parse_args()
    logging.captureWarnings(True)
    launch(
        main,
        arguments.num_gpus,
        num_machines=arguments.num_machines,
        machine_rank=arguments.machine_rank,
        dist_url=arguments.dist_url,
        args=(arguments,),
    )
