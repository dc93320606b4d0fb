"""Download a model by its name, and check that it is the one of the index.

  df2s2 models download faces-small

What is fetched is kept beside PyTorch's own files, below the folder that TORCH_HOME names.
"""

from __future__ import annotations

import argparse
import sys

from df2s2_d2.models import find_model
from df2s2_d2.models.download import download


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="of the model, as `df2s2 models` lists it")


def run(args: argparse.Namespace) -> None:
    for kind, path in download(find_model(args.name), progress=sys.stderr.isatty()).items():
        print(f"{kind}: {path}")
