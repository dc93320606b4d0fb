"""Write a trained detector as a file for ONNX Runtime, OpenVINO or TorchScript.

  df2s2 export --weights model.pth --output faces.onnx --check photo.jpg ...
  df2s2 export --weights model.pth --output faces.xml
  df2s2 export --weights model.pth --output small.onnx --format onnx-int8 --calibrate photos/
  df2s2 export --config-file CONFIG --weights model.pth --output faces.pt

The suffix chooses the format: .onnx; .xml for OpenVINO, with a .bin beside it; .pt or .torchscript.
The formats with int8 compute convolutions in 8-bit integers, whose ranges come from photographs
like those to be looked at. The config is the one that the checkpoint carries unless --config-file
names another. The file takes images (N, 3, H, W) of any number and size, uint8, and gives boxes in
their pixels; normalisation, padding, decoding and NMS are inside. `df2s2 detect --weights FILE`
runs .onnx and .xml, and `df2s2 detect-onnx` shows the use of .onnx without this package.
"""

from __future__ import annotations

import argparse
from pathlib import Path

# Those of inference.export.
FORMATS = ("onnx", "onnx-int8", "openvino", "openvino-int8", "torchscript")
SUFFIXES = (".onnx", ".xml", ".pt", ".torchscript")


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
    parser.add_argument(
        "--format", choices=FORMATS, help="what the file holds (default: what its suffix says)"
    )
    parser.add_argument(
        "--calibrate",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="photographs, or folders of them, by which 8-bit integers get their ranges",
    )
    parser.add_argument("--config-file", metavar="FILE", help="if the checkpoint carries none")
    parser.add_argument(
        "--check",
        nargs="+",
        action="extend",
        default=[],
        metavar="IMAGE",
        help="compare what the file and PyTorch find in these images",
    )
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE ... over the config"
    )


def run(args: argparse.Namespace) -> None:
    is_quantized = args.format is not None and args.format.endswith("int8")
    if is_quantized != bool(args.calibrate):
        raise argparse.ArgumentError(
            None,
            f"--format {args.format} needs --calibrate with some photographs"
            if is_quantized
            else "--calibrate is for the formats with int8: name one by --format",
        )
    from df2s2_d2.inference.export import (
        ExportedDetector,
        calibration_images,
        check_images,
        export_detector,
        format_of,
        load_exportable,
    )
    from df2s2_d2.inference.export.parity import EXACT, QUANTIZED

    format_of(args.output, args.format)
    detector, cfg = load_exportable(args.weights, args.config_file, args.opts)
    name = Path(args.config_file or args.weights).stem
    images = calibration_images(args.calibrate, cfg) if is_quantized else ()
    export_detector(detector, cfg, args.output, name, format=args.format, images=images)
    exported = ExportedDetector(args.output)
    size = args.output.stat().st_size
    if args.output.suffix == ".xml":
        size += args.output.with_suffix(".bin").stat().st_size
    print(f"{args.output}: {size / 1e6:.1f} MB")
    print("input    images (N, 3, H, W) uint8")
    print("outputs  boxes (D, 4) float32, scores (D,) float32, image_index (D,) int64")
    for key, value in sorted(exported.metadata.items()):
        if key != "config":
            print(f"{key}: {value}")
    tolerance = QUANTIZED if is_quantized else EXACT
    check_images(args.check, detector, cfg, exported, tolerance)
