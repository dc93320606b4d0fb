"""Count the anchors that each training face matches, from annotations alone (DSFD §3.4, §4.2).

  df2s2 anchors --config-file CONFIG [CONFIG ...]
  df2s2 anchors --config-file CONFIG --annotations faces.txt --image-sizes sizes.csv \\
      --output output/anchors --opts MODEL.SHOT.ANCHORS.SCALE 3.0

Every image is augmented once as the config trains it, boxes only, and its faces are matched with
the anchors of MODEL.SHOT. Sizes of faces and anchors are square roots of areas, in pixels of the
image that enters the network. The output folder gets anchors.png and anchors.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config-file", nargs="+", action="extend", required=True, metavar="FILE")
    parser.add_argument(
        "--annotations",
        metavar="FILE",
        help="WIDER FACE's text or COCO JSON; else those of the first data set in DATASETS.TRAIN",
    )
    parser.add_argument("--images", metavar="FOLDER", help="where the images are, to read sizes")
    parser.add_argument(
        "--image-sizes", metavar="CSV", help="columns image, width, height: no image is opened"
    )
    parser.add_argument("--output", type=Path, default=Path("output/anchors"), metavar="FOLDER")
    parser.add_argument("--samples", type=int, metavar="N", help="only N images, spread evenly")
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation (default 0)")
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="for all configs"
    )


def run(args: argparse.Namespace) -> None:
    from df2s2_d2 import load_config
    from df2s2_d2.analysis.anchor_report import write_report
    from df2s2_d2.analysis.anchor_statistics import analyze
    from df2s2_d2.analysis.annotated_images import load_annotated_images

    configs = {config: load_config(config, args.opts) for config in args.config_file}
    records = load_annotated_images(
        next(iter(configs.values())),
        args.annotations,
        args.images,
        args.image_sizes,
        args.samples,
    )
    statistics = {config: analyze(cfg, records, args.seed) for config, cfg in configs.items()}
    write_report(statistics, args.output)
