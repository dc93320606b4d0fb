"""Write one HTML file that explains a WIDER FACE result; it opens offline in any browser.

python tools/report.py DETECTIONS eval_tools/ground_truth
python tools/report.py detections.zip eval_tools/ground_truth --images WIDER_val/images
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from df2s2_d2.evaluation import load_ground_truth, read_detections
from df2s2_d2.evaluation.protocol import read_protocol
from df2s2_d2.evaluation.report import ALL_FACES, build_report
from df2s2_d2.evaluation.wider_face.attributes import load_attributes
from df2s2_d2.evaluation.wider_face.ground_truth import SETTINGS


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        description="Explain a WIDER FACE result: AP, curves, breakdowns, worst images, as HTML."
    )
    parser.add_argument(
        "detections",
        type=Path,
        help="folder of <event>/<image>.txt, a zip archive of one, or COCO's results as .json",
    )
    parser.add_argument(
        "ground_truth", type=Path, help="folder of the official wider_*_val.mat files"
    )
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
        choices=(*SETTINGS, ALL_FACES),
        help="faces that breakdowns and contact sheets are about; all: every annotated face "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--score",
        type=float,
        default=0.5,
        help="operating score for recall, misses and false positives (default: %(default)s)",
    )
    return parser, parser.parse_args()


def write_report(arguments: argparse.Namespace) -> None:
    ground_truth = load_ground_truth(arguments.ground_truth)
    try:
        attributes = load_attributes(arguments.ground_truth, ground_truth)
    except ValueError as error:
        print(f"No breakdown by attribute: {error}", file=sys.stderr)
        attributes = None
    if arguments.sheets is not None:
        arguments.sheets.mkdir(parents=True, exist_ok=True)
    report = build_report(
        name=arguments.name or arguments.detections.resolve().name.removesuffix(".zip"),
        protocol=read_protocol(arguments.detections),
        detections=read_detections(arguments.detections),
        ground_truth=ground_truth,
        attributes=attributes,
        image_dir=arguments.images,
        sheet_dir=arguments.sheets,
        setting=arguments.setting,
        score=arguments.score,
    )
    arguments.output.write_text(report, encoding="utf-8")


def main() -> None:
    parser, arguments = parse_arguments()
    if arguments.sheets is not None and arguments.images is None:
        parser.error("--sheets needs --images, the pictures to draw on")
    try:
        write_report(arguments)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    megabytes = arguments.output.stat().st_size / 1e6
    print(f"{arguments.output}: {megabytes:.1f} MB, opens in any browser")


if __name__ == "__main__":
    main()
