"""Score a folder or zip archive of detections by the WIDER FACE protocol.

python tools/evaluate_wider_face.py DETECTIONS eval_tools/ground_truth
python tools/evaluate_wider_face.py detections.zip eval_tools/ground_truth --json scores.json
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from df2s2_d2.evaluation import (
    WiderFaceResult,
    evaluate_wider_face,
    load_ground_truth,
    read_detections,
)


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        description="Score detections by the WIDER FACE protocol (Easy, Medium, Hard)."
    )
    parser.add_argument(
        "detections", type=Path, help="folder of <event>/<image>.txt, or a zip archive of one"
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
    return parser, parser.parse_args()


def to_json(result: WiderFaceResult) -> str:
    # JSON has no nan, the AP of a setting without faces.
    ap = {name: None if math.isnan(value) else value for name, value in result.ap.items()}
    counts = {
        "images": result.num_images,
        "faces": result.num_faces,
        "detections": result.num_detections,
        "missing_files": result.num_missing_images,
        "unknown_files": result.num_unknown_images,
        "unknown_detections": result.num_unknown_detections,
    }
    return json.dumps({"wider_face": ap, "counts": counts}, indent=2)


def to_table(result: WiderFaceResult) -> str:
    rows = [f"{'':<10} {'AP':>8} {'faces':>8}"]
    rows += [
        f"{name:<10} {value:8.5f} {faces:8,}"
        for (name, value), faces in zip(result.ap.items(), result.num_faces.values(), strict=True)
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
        ground_truth = load_ground_truth(arguments.ground_truth)
        result = evaluate_wider_face(read_detections(arguments.detections), ground_truth)
        if arguments.json not in (None, "-"):
            Path(arguments.json).write_text(to_json(result) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(to_json(result) if arguments.json == "-" else to_table(result))


if __name__ == "__main__":
    main()
