"""ImageNet weights, as torchvision and timm publish them, for bottom-up networks."""

from __future__ import annotations

import functools
import re
from types import ModuleType

import torch
from detectron2.modeling import Backbone, ResNet
from torch import Tensor

from df2s2_d2.modeling.backbone.timm_network import TimmNetwork
from df2s2_d2.modeling.backbone.vgg import VGG16, VGG16_BLOCKS

# Names in torchvision's ResNets and what they are called in detectron2's, applied in this order.
_RESNET_RENAMINGS = [
    (r"^conv1\.", "stem.conv1."),
    (r"^bn1\.", "stem.conv1.norm."),
    (r"^layer(\d)\.", lambda match: f"res{int(match[1]) + 1}."),
    (r"\.bn(\d)\.", r".conv\1.norm."),
    (r"\.downsample\.0\.", ".shortcut."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
]


def load_pretrained(network: Backbone, path: str) -> None:
    """Load ImageNet weights into a bottom-up network, every tensor that it has in common with them.

    The images have to be what the weights were trained on: for torchvision's, RGB scaled by
    ImageNet's mean and deviation (INPUT.FORMAT, MODEL.PIXEL_MEAN, MODEL.PIXEL_STD), and for its
    ResNets the stride in the 3x3 convolutions (MODEL.RESNETS.STRIDE_IN_1X1), as
    ``configs/DF2S2/Base-DF2S2.yaml`` has it. For timm's, see the model's ``pretrained_cfg``.

    Args:
        network: a type that :func:`adapt_weights` knows.
        path: see :func:`read_state_dict`.

    Raises:
        FileNotFoundError, ImportError, ValueError: if the file cannot be read or does not fit;
            the network is then as it was.
    """
    state = read_state_dict(path)
    try:
        adapted = adapt_weights(network, state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    network.load_state_dict(adapted, strict=False)


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Read a network's tensors by name; the file cannot run code.

    Args:
        path: a ``.safetensors`` file, or a state dict saved by ``torch.save``.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if a ``.safetensors`` file is given and that library is absent.
        ValueError: if the file is something else.
    """
    try:
        if str(path).endswith(".safetensors"):
            state = _import_safetensors().load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, ImportError):
        raise
    except Exception as error:  # Unpickling raises whatever other files make it stumble over.
        raise ValueError(
            f"{path} is not a state dict that can be read: expected tensors alone, as torch.save "
            "or safetensors write them; files that would run code are not loaded"
        ) from error
    is_state_dict = isinstance(state, dict) and all(
        isinstance(name, str) and torch.is_tensor(tensor) for name, tensor in state.items()
    )
    if not is_state_dict:
        raise ValueError(f"{path} is not a state dict: it must map names to tensors, no more")
    return state


def _import_safetensors() -> ModuleType:
    # timm brings this library along; nothing else needs it.
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "Files *.safetensors need safetensors: pip install safetensors"
        ) from error
    return safetensors.torch


@functools.singledispatch
def adapt_weights(network: Backbone, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of a file the names and shapes that ``network`` has.

    Register a function of your own network's type here to let :func:`load_pretrained` know it.

    Args:
        network: the one to load into; it is not changed.
        state: as read from the file.

    Returns:
        Every tensor of ``network`` that pretrained weights determine, by its name in ``network``.

    Raises:
        ValueError: if the file is for another network; which file is left to the caller to say.
    """
    raise ValueError(
        f"such weights cannot be loaded into {type(network).__name__}; MODEL.BOTTOM_UP.WEIGHTS is "
        "for ResNets, VGG16 and networks of timm: give a checkpoint as MODEL.WEIGHTS instead"
    )


@adapt_weights.register
def _(network: ResNet, state: dict[str, Tensor]) -> dict[str, Tensor]:
    converted = convert_resnet(state)
    # A network that ends early lacks whole stages.
    stages = {name for name, _ in network.named_children()}
    converted = {name: x for name, x in converted.items() if name.split(".")[0] in stages}
    _check_fit(
        network.state_dict(), converted, "MODEL.RESNETS.DEPTH, NUM_GROUPS and WIDTH_PER_GROUP"
    )
    return converted


@adapt_weights.register
def _(network: VGG16, state: dict[str, Tensor]) -> dict[str, Tensor]:
    converted = convert_vgg16(state)
    # What no classifier has, and fc6 and fc7 if the file ends before them, stays as it is.
    new = ("l2_norms.",) if "fc6.weight" in converted else ("l2_norms.", "fc6.", "fc7.")
    own = {name: x for name, x in network.state_dict().items() if not name.startswith(new)}
    _check_fit(own, converted, "MODEL.VGG.WIDTH")
    return converted


@adapt_weights.register
def _(network: TimmNetwork, state: dict[str, Tensor]) -> dict[str, Tensor]:
    unknown = sorted(state.keys() - network.names_in_model())
    if unknown:
        raise ValueError(
            f"it holds {unknown[0]!r}, which timm's {network.name!r} does not have; check "
            "MODEL.TIMM.NAME"
        )
    # timm's feature networks have the modules of the model under their names, take modules out of
    # the outermost containers ("layers.0" becomes "layers_0"), or wrap the model as a whole.
    renamed = {
        f"features.{alias}": x
        for name, x in state.items()
        for alias in (name, name.replace(".", "_", 1), f"model.{name}", f"body.{name}")
    }
    own = network.state_dict()
    adapted = {name: renamed[name] for name in own if name in renamed}
    _check_fit(own, adapted, "MODEL.TIMM.NAME")
    return adapted


def convert_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert one of torchvision's ResNets or its VGG16, whichever ``state`` holds.

    Raises:
        ValueError: if it holds something else.
    """
    if "layer1.0.conv1.weight" in state:
        return convert_resnet(state)
    if "features.0.weight" in state:
        return convert_vgg16(state)
    raise ValueError(
        "it holds neither a ResNet ('layer1.0.conv1.weight') nor a VGG16 ('features.0.weight') in "
        "torchvision's layout"
    )


def convert_resnet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a ResNet or ResNeXt of torchvision detectron2's names, without the classifier.

    Raises:
        ValueError: if ``state`` is no such network.
    """
    if "layer1.0.conv1.weight" not in state:
        raise ValueError(
            "it is not a ResNet in torchvision's layout: it has no 'layer1.0.conv1.weight'"
        )
    converted = {}
    for name, tensor in state.items():
        if name.startswith("fc.") or name.endswith("num_batches_tracked"):
            continue
        for pattern, replacement in _RESNET_RENAMINGS:
            name = re.sub(pattern, replacement, name)
        converted[name] = tensor
    return converted


def convert_vgg16(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give torchvision's VGG16 the names and shapes of :class:`VGG16`.

    Of the fully connected layers, as wide as 7x7 taps and 4096 channels, every third tap of a row
    or column and every fourth channel remain, as SSD has it. A file without them, or with NaN in
    their places, gives no fc6 and fc7.

    Raises:
        ValueError: if ``state`` is no such network.
    """
    # Convolutions, ReLUs and poolings share one numbering.
    positions, position = {}, 0
    for block, (num_convs, _) in VGG16_BLOCKS.items():
        for index in range(num_convs):
            positions[f"features.{position}"] = f"blocks.{block}.{index}"
            position += 2
        position += 1
    names = {
        f"{old}.{kind}": f"{new}.{kind}"
        for old, new in positions.items()
        for kind in ("weight", "bias")
    }
    features = {name for name in state if name.startswith("features.")}
    if features != names.keys():
        first = min(features ^ names.keys())
        raise ValueError(
            "it is not a VGG16 (without batch norm) in torchvision's layout: "
            f"{first!r} is {'missing' if first in names else 'not part of one'}"
        )
    converted = {new: state[old] for old, new in names.items()}

    layers = [f"classifier.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias")]
    found = [name for name in layers if name in state and not state[name].isnan().any()]
    if not found:
        return converted
    shapes = [tuple(state[name].shape) for name in found]
    if shapes != [(4096, 512 * 7 * 7), (4096,), (4096, 4096), (4096,)]:
        raise ValueError(
            f"its classifier is not that of VGG16: {dict(zip(found, shapes, strict=True))}"
        )
    fc6, fc6_bias, fc7, fc7_bias = (state[name] for name in found)
    # Copies, as a part of a tensor would be saved together with all the rest of it.
    return {
        **converted,
        "fc6.weight": fc6.reshape(4096, 512, 7, 7)[::4, :, ::3, ::3].clone(),
        "fc6.bias": fc6_bias[::4].clone(),
        "fc7.weight": fc7[::4, ::4, None, None].clone(),
        "fc7.bias": fc7_bias[::4].clone(),
    }


def _check_fit(own: dict[str, Tensor], given: dict[str, Tensor], keys: str) -> None:
    """Raise a ValueError unless both have the same tensors, by name and shape."""
    own = {name: x for name, x in own.items() if not name.endswith("num_batches_tracked")}
    given = {name: x for name, x in given.items() if not name.endswith("num_batches_tracked")}
    wrong = sorted(
        name
        for name in own.keys() | given.keys()
        if name not in own or name not in given or own[name].shape != given[name].shape
    )
    if wrong:
        shapes = [tuple(x[wrong[0]].shape) if wrong[0] in x else "absent" for x in (own, given)]
        raise ValueError(
            f"it does not fit the bottom-up network: {len(wrong)} tensors differ, the first is "
            f"{wrong[0]!r}, {shapes[0]} in the network and {shapes[1]} in the file; check {keys}"
        )
