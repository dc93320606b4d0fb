"""List the configs that come with the package, or print one of them.

  df2s2 configs
  df2s2 configs DF2S2/DF2S2_R50.yaml

Commands and load_config take these names as they take paths. A config of your own starts from one
by what --path prints, as its _BASE_.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from df2s2_d2.shipped_configs import config_path, list_configs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="config to print, as it is listed, or a path")
    parser.add_argument("--path", action="store_true", help="print where the config is")


def run(args: argparse.Namespace) -> None:
    if args.name is None:
        if args.path:
            raise argparse.ArgumentError(None, "--path is that of a config: name one")
        configs = list_configs()
        width = max(map(len, configs))
        for name, description in configs.items():
            print(f"{name:<{width}}  {description}")
    elif args.path:
        print(config_path(args.name))
    else:
        print(Path(config_path(args.name)).read_text(encoding="utf-8"), end="")
