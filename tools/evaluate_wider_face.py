"""Score a folder or zip archive of detections by the WIDER FACE protocol.

python tools/evaluate_wider_face.py DETECTIONS eval_tools/ground_truth
python tools/evaluate_wider_face.py detections.zip eval_tools/ground_truth --coco --json scores.json

The protocol of the detections is printed if it is known: from results.json or protocol.json beside
them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from df2s2_d2.evaluation import (
    WiderFaceResult,
    evaluate_wider_face,
    load_ground_truth,
    read_detections,
)
from df2s2_d2.evaluation.coco_ap import coco_average_precision
from df2s2_d2.evaluation.protocol import Protocol, describe_protocol, read_protocol
from df2s2_d2.evaluation.results import results_to_json

COCO_MEANING = {
    "AP": "IoU 0.50:0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "APs": "below 32² px",
    "APm": "32² to 96² px",
    "APl": "above 96² px",
}


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        description="Score detections by the WIDER FACE protocol (Easy, Medium, Hard)."
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
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write the figures as JSON to FILE, or print them instead of the table",
    )
    parser.add_argument(
        "--coco", action="store_true", help="also COCO's AP of the faces of Hard (some seconds)"
    )
    return parser, parser.parse_args()


def to_table(result: WiderFaceResult, coco: Mapping[str, float], protocol: Protocol | None) -> str:
    rows = [f"[{describe_protocol(protocol)}]", "", f"{'':<10} {'AP':>8} {'faces':>8}"]
    rows += [
        f"{name:<10} {value:8.5f} {faces:8,}"
        for (name, value), faces in zip(result.ap.items(), result.num_faces.values(), strict=True)
    ]
    if coco:
        rows += ["", f"{'COCO':<10} {'':>8} {'IoU or size':>20}"]
        rows += [
            f"{name:<10} {value:8.5f} {COCO_MEANING[name]:>20}" for name, value in coco.items()
        ]
    rows += [
        "",
        f"images         {result.num_images:9,}",
        f"detections     {result.num_detections:9,}",
        f"missing files  {result.num_missing_images:9,}  (counted as images without detections)",
        f"unknown files  {result.num_unknown_images:9,}  (not in the ground truth; "
        f"{result.num_unknown_detections:,} detections left out)",
    ]
    return "\n".join(rows)


def main() -> None:
    parser, arguments = parse_arguments()
    try:
        protocol = read_protocol(arguments.detections)
        ground_truth = load_ground_truth(arguments.ground_truth)
        detections = read_detections(arguments.detections)
        result = evaluate_wider_face(detections, ground_truth)
        coco = coco_average_precision(detections, ground_truth) if arguments.coco else {}
        figures = {"wider_face": result.ap, **({"coco": coco} if coco else {})}
        text = results_to_json(figures, result.counts(), protocol)
        if arguments.json not in (None, "-"):
            Path(arguments.json).write_text(text + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(text if arguments.json == "-" else to_table(result, coco, protocol))


if __name__ == "__main__":
    main()
