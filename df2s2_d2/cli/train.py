"""Train and evaluate face detectors.

  df2s2 train --config-file DF2S2/DF2S2_R50.yaml --num-gpus 4
  df2s2 train --config-file CONFIG --resume
  df2s2 train --config-file CONFIG --eval-only MODEL.WEIGHTS output/model_final.pth
  torchrun --standalone --nproc-per-node 4 -m df2s2_d2 train --config-file CONFIG
  srun --ntasks-per-node 4 df2s2 train --config-file CONFIG

Options are detectron2's; KEY VALUE pairs at the end override the config. SIGTERM, SIGINT and
SIGUSR1 stop a training after its step, with a checkpoint and exit code 128 + signal: --resume goes
on with the next step. In a checkout, train_net.py is the same, and tools/slurm_train.sh is a job
that starts itself again.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable

# A free port, see training.launching.
AUTOMATIC_URL = "auto"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config-file",
        default="",
        metavar="FILE",
        help="a config: a path, or a name that `df2s2 configs` lists",
    )
    add_run_arguments(parser)
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="over the config, last"
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a run, whatever kind of config describes it."""
    parser.set_defaults(program=parser.prog)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the newest checkpoint in the output folder, if there is one",
    )
    parser.add_argument(
        "--eval-only",
        action="store_true",
        help="evaluate the trained weights that the config names",
    )
    parser.add_argument(
        "--num-gpus", type=int, default=1, metavar="N", help="GPUs of each machine; default 1"
    )
    parser.add_argument(
        "--num-machines", type=int, default=1, metavar="N", help="machines in all; default 1"
    )
    parser.add_argument(
        "--machine-rank", type=int, default=0, metavar="N", help="number of this machine, from 0"
    )
    parser.add_argument(
        "--dist-url",
        default=AUTOMATIC_URL,
        metavar="URL",
        help="where several machines meet: tcp://HOST:PORT of the machine of rank 0",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=30,
        metavar="MINUTES",
        help="how long processes wait for each other, at the start, while one of them saves and "
        "while it scores; default 30",
    )


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.training.run import run

    run_telling_bugs(run, args)


def run_telling_bugs(run: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> None:
    """Run a training; a fault of the program is shown as one."""
    try:
        run(args)
    except (ImportError, OSError, ValueError):
        # What its user can mend has ended it with a sentence: this is a bug.
        traceback.print_exc()
        sys.exit(1)
