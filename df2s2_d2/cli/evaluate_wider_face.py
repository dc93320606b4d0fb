"""Score detections by the WIDER FACE protocol (Easy, Medium, Hard).

  df2s2 evaluate wider-face DETECTIONS eval_tools/ground_truth
  df2s2 evaluate wider-face detections.zip eval_tools/ground_truth --coco --json scores.json

The protocol of the detections is printed if it is known: from results.json or protocol.json beside
them.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "detections",
        type=Path,
        help="folder of <event>/<image>.txt, a zip archive of one, or COCO's results as .json",
    )
    parser.add_argument(
        "ground_truth", type=Path, help="folder of the official wider_*_val.mat files"
    )
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write the figures as JSON to FILE, or print them instead of the table",
    )
    parser.add_argument(
        "--coco", action="store_true", help="also COCO's AP of the faces of Hard (some seconds)"
    )


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.evaluation import evaluate_wider_face, load_ground_truth, read_detections
    from df2s2_d2.evaluation.coco_ap import coco_average_precision
    from df2s2_d2.evaluation.protocol import read_protocol
    from df2s2_d2.evaluation.results import results_to_json
    from df2s2_d2.evaluation.wider_face.result_table import result_table

    protocol = read_protocol(args.detections)
    ground_truth = load_ground_truth(args.ground_truth)
    detections = read_detections(args.detections)
    result = evaluate_wider_face(detections, ground_truth)
    coco = coco_average_precision(detections, ground_truth) if args.coco else {}
    figures = {"wider_face": result.ap, **({"coco": coco} if coco else {})}
    text = results_to_json(figures, result.counts(), protocol)
    if args.json not in (None, "-"):
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    print(text if args.json == "-" else result_table(result, coco, protocol))
