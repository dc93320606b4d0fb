"""Install detectron2, which is not on the package index under its own name.

  df2s2 install-detectron2
  df2s2 install-detectron2 --wheel-dir wheels/

It goes into the Python environment that runs this, after torch and torchvision. Sources are

  github  upstream's repository at a pinned commit, compiled extension included;
  index   a wheel built here from the copy of detectron2 inside a pinned, hash-checked package of
          the configured index. It is plain Python, which is all that df2s2_d2 needs.

auto (the default) tries them in this order. Either way the result is an ordinary distribution named
detectron2: `pip list` shows it and `pip uninstall detectron2` removes it.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", choices=("auto", "github", "index"), default="auto")
    parser.add_argument(
        "--wheel-dir",
        type=Path,
        metavar="DIR",
        help="only build the wheel, into DIR, for machines without network; install nothing",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a detectron2 that is already installed"
    )


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.installation.install_detectron2 import install_detectron2, obtain_wheel, say

    if args.wheel_dir:
        say(f"Built {obtain_wheel(args.source, args.wheel_dir)}; nothing was installed.")
    else:
        install_detectron2(args.source, args.force)
