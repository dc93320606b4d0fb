"""Score detections by the FDDB protocol (discrete and continuous rates over false positives).

  df2s2 evaluate fddb detections.txt FDDB-folds
  df2s2 evaluate fddb detections.txt FDDB-folds --ellipses --plot roc.png --json scores.json

Image sizes come from --image-sizes or --images; without either, image_sizes.csv and originalPics/
are looked for beside FDDB-folds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from df2s2_d2.cli.evaluation_arguments import add_json, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "detections",
        type=Path,
        help="file of detections, or a folder or zip archive of fold-XX-out.txt",
    )
    parser.add_argument("folds", type=Path, help="folder of FDDB-fold-XX-ellipseList.txt")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--image-sizes",
        type=Path,
        metavar="CSV",
        help="image sizes, with columns image,width,height",
    )
    sizes.add_argument(
        "--images", type=Path, metavar="FOLDER", help="originalPics, to take image sizes from"
    )
    parser.add_argument(
        "--ellipses",
        action="store_true",
        help="turn boxes into ellipses by a regressor fitted on the other folds",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw both curves (.png, .pdf)")
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.evaluation import fddb
    from df2s2_d2.evaluation.fddb.result_table import result_table
    from df2s2_d2.evaluation.image_names import check_image_names
    from df2s2_d2.evaluation.protocol import read_protocol
    from df2s2_d2.evaluation.results import results_to_json

    folds = fddb.load_folds(args.folds)
    detections = fddb.read_detections(args.detections)
    images = [image for fold in folds.values() for image in fold]
    check_image_names(args.detections, detections, images, str(args.folds))
    known = [image for image in images if image in detections]
    sizes = fddb.find_image_sizes(args.folds, known, args.image_sizes, args.images)
    regions = "given"
    if args.ellipses:
        detections = fddb.cross_validated_ellipses(detections, folds, sizes)
        regions = f"ellipses by a regressor, fitted in {len(folds)}-fold cross-validation"
    result = fddb.evaluate_fddb(detections, folds, sizes)
    protocol = read_protocol(args.detections)
    text = results_to_json({"fddb": result.rates()}, result.counts(), protocol, regions=regions)
    write_json(args, text)
    if args.plot:
        # Here, since matplotlib takes longer to import than most of this work.
        from df2s2_d2.evaluation.fddb.roc_plot import plot_roc

        plot_roc({args.detections.stem: result}, args.plot)
    print(text if args.json == "-" else result_table(result, regions, protocol))
