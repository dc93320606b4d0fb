"""Show what the network sees in training: augmented images, faces, matched anchors, weak masks.

  df2s2 browse --config-file DF2S2/DF2S2_R50.yaml
  df2s2 browse --config-file DSFD/DSFD_R50.yaml --only 0--Parade/0_Parade_marchingband_1_849 \\
      --repeats 8 --output browse.html

Images of DATASETS.TRAIN pass the mapper of the training, and become mosaics as often; no weights
are needed. With the same seed the same page comes out. It is one file, which opens offline in any
browser.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config-file", required=True, metavar="FILE")
    parser.add_argument(
        "--samples", type=int, default=24, metavar="N", help="images (default: %(default)s)"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="EVENT/IMAGE",
        help="this image, instead of random ones; may be given several times",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        metavar="N",
        help="augment each image so often (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of choice and augmentation (default 0)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("browse.html"),
        metavar="FILE",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="of the config"
    )


def run(args: argparse.Namespace) -> None:
    for name, least in (("samples", 1), ("repeats", 1), ("seed", 0)):
        value = getattr(args, name)
        if value < least:
            raise argparse.ArgumentError(None, f"--{name} must be at least {least}, got {value}")

    from tqdm import tqdm

    from df2s2_d2 import load_config
    from df2s2_d2.visualization.training_page import build_page
    from df2s2_d2.visualization.training_samples import load_samples

    cfg = load_config(args.config_file, args.opts)
    samples = load_samples(cfg, args.samples, args.seed, args.only, args.repeats)
    total = (len(args.only) or args.samples) * args.repeats
    shown = tqdm(samples, total=total, desc="Drawing", unit="image", disable=None)
    args.output.write_text(build_page(args.config_file, args.seed, shown), encoding="utf-8")
    megabytes = args.output.stat().st_size / 1e6
    print(f"{args.output}: {megabytes:.1f} MB, opens in any browser")
