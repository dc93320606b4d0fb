"""Write a trained detector as an ONNX or TorchScript file that runs without this package.

  df2s2 export --weights model.pth --output faces.onnx --check photo.jpg ...
  df2s2 export --config-file CONFIG --weights model.pth --output faces.pt

The suffix chooses the format: .onnx, or .pt or .torchscript. The config is the one that the
checkpoint carries unless --config-file names another. The file takes images (N, 3, H, W) of any
number and size, uint8, and gives boxes in their pixels; normalisation, padding, decoding and NMS
are inside. `df2s2 detect-onnx` shows its use.
"""

from __future__ import annotations

import argparse
from pathlib import Path

# Those of inference.export.
SUFFIXES = (".onnx", ".pt", ".torchscript")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        required=True,
        metavar="NAME|FILE",
        help="a model of `df2s2 models`, or a checkpoint",
    )
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


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.inference.export import (
        ExportedDetector,
        check_images,
        export_detector,
        load_exportable,
    )

    detector, cfg = load_exportable(args.weights, args.config_file, args.opts)
    name = Path(args.config_file or args.weights).stem
    export_detector(detector, cfg, args.output, name)
    exported = ExportedDetector(args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")
    print("input    images (N, 3, H, W) uint8")
    print("outputs  boxes (D, 4) float32, scores (D,) float32, image_index (D,) int64")
    for key, value in sorted(exported.metadata.items()):
        print(f"{key}: {value}")
    check_images(args.check, detector, cfg, exported)
