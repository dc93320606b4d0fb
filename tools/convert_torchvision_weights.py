"""Turn torchvision's ImageNet weights into a checkpoint of detectron2 for MODEL.WEIGHTS.

python tools/convert_torchvision_weights.py vgg16-397923af.pth weights/vgg16.pth
python train_net.py --config-file CONFIG MODEL.WEIGHTS weights/vgg16.pth MODEL.BOTTOM_UP.WEIGHTS ""

ResNets, ResNeXts and VGG16 are told apart by their tensors. MODEL.BOTTOM_UP.WEIGHTS takes
torchvision's files as they are; a converted one is smaller, and starts a training like any
checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from df2s2_d2.modeling.backbone.pretrained import convert_torchvision, read_state_dict

# Where the bottom-up network stands in a FaceDetector.
PREFIX = "backbone.bottom_up.network."


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        description="Convert torchvision's ResNet or VGG16 weights to a checkpoint of detectron2."
    )
    parser.add_argument("input", type=Path, help="state dict saved by torchvision")
    parser.add_argument("output", type=Path, help="checkpoint to write, *.pth")
    return parser, parser.parse_args()


def convert_file(source: Path, target: Path) -> int:
    """Write the checkpoint ``{"model": ...}`` to ``target``.

    Returns:
        The number of tensors written.

    Raises:
        OSError, ValueError: naming the file and what is wrong with it.
    """
    if target.suffix != ".pth":
        raise ValueError(f"{target}: the checkpoint has to be called *.pth to be read as one")
    state = read_state_dict(str(source))
    try:
        model = {PREFIX + name: tensor for name, tensor in convert_torchvision(state).items()}
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        torch.save({"model": model}, file)
    return len(model)


def main() -> None:
    parser, arguments = parse_arguments()
    try:
        num_tensors = convert_file(arguments.input, arguments.output)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {' '.join(str(error).split())}\n")
    print(f"{arguments.output}: {num_tensors} tensors")


if __name__ == "__main__":
    main()
