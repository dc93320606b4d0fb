"""Train and evaluate face detectors by a LazyConfig, detectron2's configs in Python.

  df2s2 train-lazy --config-file lazy/DF2S2_R50.py --num-gpus 4
  df2s2 train-lazy --config-file own.py train.max_iter=1000 optimizer.lr=0.001
  df2s2 train-lazy --config-file own.py --resume
  df2s2 train-lazy --config-file own.py --eval-only train.init_checkpoint=output/model_final.pth

A LazyConfig is a program: it is run, so name only files that you trust. KEY=VALUE pairs at the
end, in the syntax of Hydra, override it. All else is as with `df2s2 train`: signals, checkpoints,
resume, processes. In a checkout, lazyconfig_train_net.py is the same.
"""

from __future__ import annotations

import argparse

from df2s2_d2.cli.train import add_run_arguments, run_telling_bugs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config-file",
        required=True,
        metavar="FILE",
        help="a LazyConfig: a path, or lazy/DF2S2_R50.py, lazy/faces_small.py, lazy/DSFD_R50.py or "
        "lazy/DSFD_VGG16.py",
    )
    add_run_arguments(parser)
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="KEY=VALUE", help="over the config, last"
    )


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.training.lazy_run import run

    run_telling_bugs(run, args)
