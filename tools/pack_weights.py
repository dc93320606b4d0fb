"""Cut a checkpoint down to what finding faces needs: weights in half precision, and the config.

python tools/pack_weights.py output/faces_small/model_final.pth faces_small.pth
python demo.py --weights faces_small.pth --input photos/ --output found/

Training state and parts of the detector that exist in training only are left out. What is written
starts a training as MODEL.WEIGHTS, but does not resume one.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import torch

from df2s2_d2.inference.packing import packed


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description="Cut a checkpoint down to what inference needs.")
    parser.add_argument("input", type=Path, help="checkpoint of train_net.py")
    parser.add_argument("output", type=Path, help="checkpoint to write, *.pth")
    parser.add_argument(
        "--full-precision", action="store_true", help="keep float32: twice as large"
    )
    return parser, parser.parse_args()


def main() -> None:
    parser, arguments = parse_arguments()
    try:
        if arguments.output.suffix != ".pth":
            raise ValueError(
                f"{arguments.output}: the checkpoint has to be called *.pth to be read as one"
            )
        checkpoint = packed(str(arguments.input), half=not arguments.full_precision)
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        with arguments.output.open("wb") as file:
            torch.save(checkpoint, file)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {' '.join(str(error).split())}\n")
    content = arguments.output.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    print(f"{arguments.output}: {len(content) / 1e6:.1f} MB, sha256 {digest}")


if __name__ == "__main__":
    main()
