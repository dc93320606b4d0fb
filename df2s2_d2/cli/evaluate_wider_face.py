"""Score detections by the WIDER FACE protocol (Easy, Medium, Hard).

  df2s2 evaluate wider-face DETECTIONS eval_tools/ground_truth
  df2s2 evaluate wider-face detections.zip eval_tools/ground_truth --coco --json scores.json

The protocol of the detections is printed if it is known: from results.json or protocol.json beside
them.
"""

from __future__ import annotations

import argparse

from df2s2_d2.cli.evaluation_arguments import add_json, add_wider_face_files, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_wider_face_files(parser)
    add_json(parser)
    parser.add_argument(
        "--coco", action="store_true", help="also COCO's AP of the faces of Hard (some seconds)"
    )


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.evaluation import evaluate_wider_face, load_ground_truth, read_detections
    from df2s2_d2.evaluation.coco_ap import coco_average_precision
    from df2s2_d2.evaluation.image_names import check_image_names
    from df2s2_d2.evaluation.protocol import read_protocol
    from df2s2_d2.evaluation.results import results_to_json
    from df2s2_d2.evaluation.wider_face.result_table import result_table

    protocol = read_protocol(args.detections)
    ground_truth = load_ground_truth(args.ground_truth)
    detections = read_detections(args.detections)
    check_image_names(args.detections, detections, ground_truth.images, str(args.ground_truth))
    result = evaluate_wider_face(detections, ground_truth)
    coco = coco_average_precision(detections, ground_truth) if args.coco else {}
    figures = {"wider_face": result.ap, **({"coco": coco} if coco else {})}
    text = results_to_json(figures, result.counts(), protocol)
    write_json(args, text)
    print(text if args.json == "-" else result_table(result, coco, protocol))
