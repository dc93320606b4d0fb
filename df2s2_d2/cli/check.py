"""Look for what is wrong in data sets, before training on them.

  df2s2 check wider_face_train wider_face_val
  df2s2 check train.json=photos/ val.txt=photos/ --output output/check
  df2s2 check faces.json=photos/ --detections found/detections.jsonl

A data set is a registered name, or ANNOTATIONS=IMAGES: WIDER FACE's text or COCO JSON, or a folder
of FDDB's folds or of wider_face_val.mat, and the folder of images. Several are also compared with
each other: images that occur in more than one of them are no test of anything.

The output folder gets check.html, with a picture of what is suspicious, and check.json. The exit
code is 1 if there is anything that a training would stop for, such as an image that is missing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "datasets", nargs="+", metavar="DATASET", help="registered name, or ANNOTATIONS=IMAGES"
    )
    parser.add_argument(
        "--images", metavar="FOLDER", help="of the images, where DATASET is annotations alone"
    )
    parser.add_argument(
        "--config-file",
        default="DF2S2/DF2S2_R50.yaml",
        metavar="FILE",
        help="of the training that faces and anchors are looked at for (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("output/check"),
        metavar="FOLDER",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=24,
        metavar="N",
        help="pictures of each kind of finding in the page (default: %(default)s)",
    )
    parser.add_argument(
        "--headers-only",
        action="store_true",
        help="do not decode images: faster, but finds neither broken images nor those that show "
        "the same",
    )
    parser.add_argument(
        "--detections",
        metavar="FILE",
        help="of a detector in these images, as df2s2 detect and the evaluators write them: also "
        "look for labels that it contradicts",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation (default 0)")
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="of the config"
    )


def run(args: argparse.Namespace) -> int:
    if args.examples < 0:
        raise argparse.ArgumentError(None, f"--examples must not be negative, got {args.examples}")

    from df2s2_d2 import load_config
    from df2s2_d2.dataset_check.annotated_dataset import open_datasets
    from df2s2_d2.dataset_check.check import check_datasets
    from df2s2_d2.dataset_check.check_page import build_page
    from df2s2_d2.dataset_check.detector_findings import read_detections_of
    from df2s2_d2.dataset_check.summary import summary_text

    cfg = load_config(args.config_file, args.opts)
    datasets = open_datasets(args.datasets, args.images)
    detections = read_detections_of(args.detections, datasets) if args.detections else None
    args.output.mkdir(parents=True, exist_ok=True)
    result = check_datasets(
        datasets, cfg, args.config_file, args.headers_only, args.seed, detections
    )
    text = json.dumps(result.summary(), indent=1, ensure_ascii=False) + "\n"
    (args.output / "check.json").write_text(text, encoding="utf-8")
    page = build_page(result, args.examples)
    (args.output / "check.html").write_text(page, encoding="utf-8")
    print(summary_text(result))
    print(f"In {args.output}/: check.html, check.json")
    return 1 if result.num_errors else 0
