"""Explain a WIDER FACE result: AP, curves, breakdowns, worst images, as HTML.

  df2s2 report DETECTIONS eval_tools/ground_truth
  df2s2 report detections.zip eval_tools/ground_truth --images WIDER_val/images

It is one file, which opens offline in any browser.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from df2s2_d2.cli.evaluation_arguments import add_wider_face_files

# Those of the ground truth, and evaluation.report.ALL_FACES.
SETTINGS = ("easy", "medium", "hard", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_wider_face_files(parser)
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="<event>/<image>.jpg, for contact sheets"
    )
    parser.add_argument(
        "--sheets", type=Path, metavar="FOLDER", help="also store the contact sheets there as PNG"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="default: %(default)s",
    )
    parser.add_argument("--name", help="of the detector; default: name of DETECTIONS")
    parser.add_argument(
        "--setting",
        default="hard",
        choices=SETTINGS,
        help="faces that breakdowns and contact sheets are about; all: every annotated face "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--score",
        type=float,
        default=0.5,
        help="operating score for recall, misses and false positives (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    if args.sheets is not None and args.images is None:
        raise argparse.ArgumentError(None, "--sheets needs --images, the pictures to draw on")

    from df2s2_d2.evaluation import load_ground_truth, read_detections
    from df2s2_d2.evaluation.image_names import check_image_names
    from df2s2_d2.evaluation.protocol import read_protocol
    from df2s2_d2.evaluation.report import build_report
    from df2s2_d2.evaluation.wider_face.attributes import load_attributes

    ground_truth = load_ground_truth(args.ground_truth)
    detections = read_detections(args.detections)
    check_image_names(args.detections, detections, ground_truth.images, str(args.ground_truth))
    try:
        attributes = load_attributes(args.ground_truth, ground_truth)
    except ValueError as error:
        print(f"No breakdown by attribute: {error}", file=sys.stderr)
        attributes = None
    if args.sheets is not None:
        args.sheets.mkdir(parents=True, exist_ok=True)
    report = build_report(
        name=args.name or args.detections.resolve().name.removesuffix(".zip"),
        protocol=read_protocol(args.detections),
        detections=detections,
        ground_truth=ground_truth,
        attributes=attributes,
        image_dir=args.images,
        sheet_dir=args.sheets,
        setting=args.setting,
        score=args.score,
    )
    args.output.write_text(report, encoding="utf-8")
    megabytes = args.output.stat().st_size / 1e6
    print(f"{args.output}: {megabytes:.1f} MB, opens in any browser")
