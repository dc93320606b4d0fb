"""Cut a checkpoint down to a file that can be passed on, and write its row of an index.

  df2s2 models publish output/model_final.pth --name my-faces --output models/
  DF2S2_MODEL_INDEX=models/index.json df2s2 detect photos/ --weights my-faces

Weights become float16 in the safetensors format, which holds no code, with the config beside them;
training state and parts of the detector that exist in training only are left out. The row goes into
index.json in the output folder, beside those that are there: change its 'file' to an https address
where you put the files.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="of a training")
    parser.add_argument("--name", required=True, help="of a-z, 0-9 and single hyphens")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--onnx", action="store_true", help="export the detector as well")
    parser.add_argument(
        "--full-precision", action="store_true", help="keep float32: twice as large"
    )
    row = parser.add_argument_group("the row")
    row.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="results.json of its evaluation on WIDER FACE, for figures and protocol",
    )
    row.add_argument("--config", default="", metavar="NAME", help="that it was trained by")
    row.add_argument("--description", default="", metavar="TEXT")
    row.add_argument("--license", default="", metavar="NAME", help="of the weights")


def run(args: argparse.Namespace) -> None:
    from df2s2_d2.evaluation.results import read_wider_face_results
    from df2s2_d2.inference.publishing import publish
    from df2s2_d2.models.index import add_row, check_name, read_index

    check_name(args.name)
    index = args.output / "index.json"
    if index.exists():
        read_index(index)
    ap, protocol = read_wider_face_results(args.results) if args.results else ({}, "")
    row = publish(
        args.checkpoint,
        args.output,
        args.name,
        half=not args.full_precision,
        onnx=args.onnx,
        description=args.description,
        config=args.config,
        license=args.license,
        protocol=protocol,
        ap=ap,
    )
    add_row(index, args.name, row)
    for file in row["files"].values():
        print(f"{args.output / file['file']}: {file['size'] / 1e6:.1f} MB, sha256 {file['sha256']}")
    print(f"{index}: the row {args.name!r}")
