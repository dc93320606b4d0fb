"""Explain a WIDER FACE result: AP, curves, kinds of errors, worst images, as HTML.

  df2s2 report DETECTIONS eval_tools/ground_truth
  df2s2 report detections.zip eval_tools/ground_truth --images WIDER_val/images
  df2s2 report DETECTIONS eval_tools/ground_truth --event "1*" --event 0--Parade --max-size 16

It is one file, which opens offline in any browser.
"""

from __future__ import annotations

import argparse
import math
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
        "--event",
        action="append",
        default=[],
        metavar="NAME",
        help="only the images of this event, or of those that a pattern such as '1*' names; may be "
        "given several times",
    )
    parser.add_argument(
        "--min-size",
        type=float,
        default=0.0,
        metavar="PX",
        help="only faces from this √(width × height) on; others are ignored",
    )
    parser.add_argument(
        "--max-size",
        type=float,
        default=math.inf,
        metavar="PX",
        help="only faces below this size; others are ignored",
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=24,
        metavar="N",
        help="pictures of each kind of error, with --images (default: %(default)s)",
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
    if not args.min_size < args.max_size:
        raise argparse.ArgumentError(None, "--min-size must be below --max-size")
    if args.examples < 0:
        raise argparse.ArgumentError(None, f"--examples must not be negative, got {args.examples}")

    from df2s2_d2.evaluation import load_ground_truth, read_detections
    from df2s2_d2.evaluation.image_names import check_image_names
    from df2s2_d2.evaluation.protocol import read_protocol
    from df2s2_d2.evaluation.report import build_report
    from df2s2_d2.evaluation.wider_face.attributes import load_attributes
    from df2s2_d2.evaluation.wider_face.selection import Selection

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
        selection=Selection(args.event, args.min_size, args.max_size),
        num_examples=args.examples,
    )
    args.output.write_text(report, encoding="utf-8")
    megabytes = args.output.stat().st_size / 1e6
    print(f"{args.output}: {megabytes:.1f} MB, opens in any browser")
