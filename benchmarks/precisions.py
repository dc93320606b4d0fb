#!/usr/bin/env python3
"""A detector in half precision beside the same in single precision: AP on photographs.

DETECTRON2_DATASETS=DIR python -m benchmarks.precisions --output output/precisions.json
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.common import choose_device, report
from benchmarks.make_table import to_markdown
from benchmarks.wider_face_photographs import Photographs
from df2s2_d2.evaluation import evaluate_wider_face
from df2s2_d2.evaluation.evaluators.base import to_rows
from df2s2_d2.inference.fast_path import PRECISIONS
from df2s2_d2.inference.predictor import Predictor


def measure(
    model: str, device: str, overrides: list[str], precisions: list[str], photographs: Photographs
) -> list[dict[str, Any]]:
    """AP of a detector in each precision, and how far it is from the first one's.

    Args:
        model: name of a model, or its file.
        device: "cpu" or "cuda".
        overrides: over its config.
        precisions: keys of ``PRECISIONS``.
        photographs: with their ground truth.
    """
    rows: list[dict[str, Any]] = []
    for precision in precisions:
        opts = ["MODEL.DEVICE", device, *overrides]
        # Else fp32 would be that of a file of ONNX, whose weights are rounded otherwise.
        predictor = Predictor(model, overrides=opts, precision=precision, runtime="torch")
        files = tqdm(photographs.files.items(), precision, disable=None)
        found = {image: to_rows(predictor(path)) for image, path in files}
        result = evaluate_wider_face(found, photographs.ground_truth)
        first = rows[0]["ap"] if rows else result.ap
        rows.append(
            {
                "config": " ".join([model, *overrides]),
                "precision": precision,
                "images": result.num_images,
                "detections": result.num_detections,
                "ap": result.ap,
                "difference": {name: value - first[name] for name, value in result.ap.items()},
            }
        )
    return rows


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="faces-small", help="name or file (faces-small)")
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--photographs", type=int, metavar="N", help="how many; all if left out")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    parser.add_argument("--opts", nargs="*", default=[], help="KEY VALUE pairs over the config")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    device = choose_device(args.device)
    root = Path(os.environ.get("DETECTRON2_DATASETS", "datasets"))
    photographs = Photographs.load(root, args.photographs)
    results = measure(args.model, device.type, args.opts, args.precisions, photographs)
    document = report("precisions", args, device, results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
