"""ImageNet weights in torchvision's layout for detectron2's ResNets."""

from __future__ import annotations

import re

import torch
from detectron2.modeling import Backbone
from torch import Tensor

# Names in torchvision's ResNets and what they are called in detectron2's, applied in this order.
_RENAMINGS = [
    (r"^conv1\.", "stem.conv1."),
    (r"^bn1\.", "stem.conv1.norm."),
    (r"^layer(\d)\.", lambda match: f"res{int(match[1]) + 1}."),
    (r"\.bn(\d)\.", r".conv\1.norm."),
    (r"\.downsample\.0\.", ".shortcut."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
]


def read_torchvision_resnet(path: str) -> dict[str, Tensor]:
    """Read a ResNet that torchvision's own files hold and give it detectron2's names.

    Args:
        path: a state dict saved by torch; nothing but tensors is loaded.

    Returns:
        Name to tensor, without the classifier.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not such a state dict.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} is not a state dict of tensors that torch can read: {error}"
        ) from error
    is_state_dict = isinstance(state, dict) and all(map(torch.is_tensor, state.values()))
    if not is_state_dict or "layer1.0.conv1.weight" not in state:
        raise ValueError(
            f"{path} is not a ResNet in torchvision's layout: it has no 'layer1.0.conv1.weight'"
        )
    return {
        detectron_name(name): tensor
        for name, tensor in state.items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }


def detectron_name(name: str) -> str:
    """The name in detectron2's ResNets of a parameter or buffer of torchvision's."""
    for pattern, replacement in _RENAMINGS:
        name = re.sub(pattern, replacement, name)
    return name


def load_torchvision_resnet(network: Backbone, path: str) -> None:
    """Load torchvision's ImageNet weights into a ResNet of detectron2, every tensor of it.

    torchvision's networks take RGB scaled by mean and deviation of ImageNet and have their stride
    in the 3x3 convolutions: set INPUT.FORMAT, MODEL.PIXEL_MEAN, MODEL.PIXEL_STD and
    MODEL.RESNETS.STRIDE_IN_1X1 to match, as ``configs/DF2S2/Base-DF2S2.yaml`` does.

    Args:
        network: a ResNet built by detectron2.
        path: see :func:`read_torchvision_resnet`.

    Raises:
        ValueError: if a tensor is missing, left over, or of another shape.
    """
    state = read_torchvision_resnet(path)
    own = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    wrong = sorted(
        name
        for name in own.keys() | state.keys()
        if name not in own or name not in state or own[name].shape != state[name].shape
    )
    if wrong:
        raise ValueError(
            f"{path} does not fit the bottom-up network: {len(wrong)} tensors differ, the first is "
            f"{wrong[0]!r}; check MODEL.RESNETS.DEPTH"
        )
    network.load_state_dict(state, strict=False)
