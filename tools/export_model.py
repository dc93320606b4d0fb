#!/usr/bin/env python3
"""Write a trained detector as an ONNX or TorchScript file that runs without this package.

    python tools/export_model.py --weights model.pth --output faces.onnx --check photo.jpg ...
    python tools/export_model.py --config-file CONFIG --weights model.pth --output faces.pt

The suffix chooses the format: .onnx, or .pt or .torchscript. The config is the one that the
checkpoint carries unless --config-file names another. The file takes images (N, 3, H, W) of any
number and size, uint8, and gives boxes in their pixels; normalisation, padding, decoding and NMS
are inside. tools/detect_onnx.py shows its use.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import Instances
from tqdm import tqdm

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.inference.checkpoint_config import named_config
from df2s2_d2.inference.export import (
    SUFFIXES,
    Difference,
    ExportedDetector,
    difference,
    export_detector,
)
from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_trained,
    without_training_parts,
)
from df2s2_d2.modeling import FaceDetector
from df2s2_d2.modeling.postprocessing import Detections

# What --check lets pass.
MIN_IOU, MAX_SCORE_DIFFERENCE = 0.999, 1e-3


def load_detector(
    weights: str, config_file: str | None, overrides: list[str]
) -> tuple[FaceDetector, CfgNode]:
    """Build a trained detector on the CPU.

    Args:
        weights: its checkpoint.
        config_file: None for the config that the checkpoint carries.
        overrides: ``[key, value, ...]``.

    Raises:
        FileNotFoundError, ValueError: naming the file and what is wrong with it.
    """
    check_weights_file("--weights", weights)
    cfg = without_training_parts(named_config(weights, config_file, overrides))
    cfg.MODEL.DEVICE = "cpu"
    cfg.TEST.AUG.ENABLED = False  # A file looks at images in one size.
    detector = build_model(cfg).eval()
    load_trained(detector, weights)
    return detector, cfg


@torch.no_grad()
def check_image(
    path: str, detector: FaceDetector, cfg: CfgNode, exported: ExportedDetector
) -> Difference:
    """Compare what a detector and its exported file find in one image.

    Raises:
        OSError: if the image cannot be read.
    """
    record = FaceDatasetMapper(cfg, is_train=False)({"file_name": path, "image_id": path})
    image = record["image"]
    found: Instances = detector([{"image": image}])[0]["instances"]
    expected = Detections(
        found.pred_boxes.tensor, found.scores, torch.zeros_like(found.pred_classes)
    )
    return difference(expected, exported(image[None]))


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, metavar="FILE.pth", help="checkpoint")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help=f"*{', *'.join(SUFFIXES)}"
    )
    parser.add_argument("--config-file", metavar="FILE", help="if the checkpoint carries none")
    parser.add_argument(
        "--check",
        nargs="+",
        default=[],
        metavar="IMAGE",
        help="compare what the file and PyTorch find in these images",
    )
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE ... over the config"
    )
    return parser, parser.parse_args()


def main() -> None:
    parser, arguments = parse_arguments()
    output = arguments.output
    try:
        detector, cfg = load_detector(arguments.weights, arguments.config_file, arguments.opts)
        name = Path(arguments.config_file or arguments.weights).stem
        export_detector(detector, cfg, output, name)
        exported = ExportedDetector(output)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {' '.join(str(error).split())}\n")
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    print("input    images (N, 3, H, W) uint8")
    print("outputs  boxes (D, 4) float32, scores (D,) float32, image_index (D,) int64")
    for key, value in sorted(exported.metadata.items()):
        print(f"{key}: {value}")

    failed = []
    for path in tqdm(arguments.check, unit="image", disable=None):
        try:
            found = check_image(path, detector, cfg, exported)
        except OSError as error:
            failed.append(path)
            tqdm.write(str(error), file=sys.stderr)
            continue
        tqdm.write(
            f"{path}: {found.pairs} detections, lowest IoU {found.min_iou:.6f}, largest difference "
            f"of scores {found.max_score_difference:.1e}, only in one {found.unmatched}",
            file=sys.stdout,
        )
        if (
            found.unmatched
            or found.min_iou < MIN_IOU
            or found.max_score_difference > MAX_SCORE_DIFFERENCE
        ):
            failed.append(path)
    if failed:
        parser.exit(
            1,
            f"{parser.prog}: {len(failed)} of {len(arguments.check)} images failed the check "
            f"(IoU {MIN_IOU}, score {MAX_SCORE_DIFFERENCE:g}), the first {failed[0]}\n",
        )


if __name__ == "__main__":
    main()
