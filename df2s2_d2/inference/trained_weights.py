"""Weights of a trained detector, loaded without running code and without gaps."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from df2s2_d2.models import local_file, suggestion

# Where in a checkpoint the moving average of the weights lies, if the run kept one.
AVERAGE_KEY = "ema"

# Where the config lies that the weights were trained by.
CONFIG_KEY = "config"

# Parts that exist in training only: the first shot, and the mask branch of any head.
_TRAINING_ONLY = re.compile(r"^first_shot\.|\.mask_logits\.")

# Files of detectron2's and pycls' model zoos.
_PICKLES = (".pkl", ".pyth")
# Addresses that detectron2 would fetch.
_DOWNLOADED = ("http://", "https://", "ftp://", "detectron2://", "catalog://")


def check_weights_file(key: str, path: str, is_model: bool = True) -> None:
    """Check that a file of weights, if one is named, is there and no pickle of unknown origin.

    Args:
        key: what names it, such as a key of the config.
        path: the file, or the name of a model; "" for none.
        is_model: whether it is of a detector, and not of a bottom-up network alone.

    Raises:
        FileNotFoundError, ValueError: what is wrong, and where.
    """
    path = local_file(path) if is_model else path
    name, query, _ = path.partition("?")
    if os.path.splitext(name)[1] in _PICKLES:
        raise ValueError(
            f"{key} is {path!r}: pickles are not loaded, as they can run code; if you trust the "
            "file, save its weights with torch.save({'model': state_dict}, 'FILE.pth')"
        )
    if path.startswith(_DOWNLOADED):
        raise ValueError(
            f"{key} is {path!r}: nothing is downloaded unasked; fetch the file and give its path"
        )
    if path and "://" not in path and not os.path.isfile(path):
        remedy = (
            f"give the path of a trained model, or the name of one{suggestion(path)}"
            if is_model
            else "save ImageNet weights there, as in docs/training.md under Starting, or set it to "
            "'' to train from nothing"
        )
        raise FileNotFoundError(f"{key} is {path!r}, but there is no such file: {remedy}")
    if query and not os.path.isfile(path):
        raise ValueError(f"{key} is {path!r}: give the address without what follows the '?'")


def read_checkpoint(path: str, mapped: bool = True) -> dict[str, Any]:
    """Read a checkpoint, or a state dict alone; the file cannot run code.

    Args:
        path: of a file that ``torch.save`` or safetensors wrote, or the name of a model.
        mapped: whether tensors stay in the file until they are used.

    Raises:
        OSError: if there is no such file, or it may not be read.
        ValueError: if it is something else.
    """
    path = PathManager.get_local_path(local_file(path))
    if path.endswith(".safetensors"):
        return _read_safetensors(path)
    if _is_torchscript(path):
        raise ValueError(
            f"{path} is no checkpoint but TorchScript, which is code: give the checkpoint that it "
            "was made of, or export that to .onnx or .xml"
        )
    try:
        # Files of torch < 1.6 are no archives, and cannot be mapped.
        checkpoint = torch.load(
            path, map_location="cpu", weights_only=True, mmap=mapped and zipfile.is_zipfile(path)
        )
    except Exception as error:  # Unpickling raises whatever other files make it stumble over.
        if (
            isinstance(error, OSError) and error.filename is not None
        ):  # the system's, not the file's
            raise
        raise ValueError(
            f"{path} is no checkpoint: expected tensors and plain values as torch.save writes "
            "them; files that would run code are not loaded"
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path} is no checkpoint: it holds a {type(checkpoint).__name__}")
    return checkpoint


def _is_torchscript(path: str) -> bool:
    """Whether a file is an archive with the constants of a script, by which torch tells them."""
    # Of damaged archives, reading raises whatever it stumbles over: they are something else.
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
    return False


def _read_safetensors(path: str) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            checkpoint = {"model": {name: file.get_tensor(name) for name in file.keys()}}
            config = (file.metadata() or {}).get(CONFIG_KEY)
    except SafetensorError as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from error
    return checkpoint if config is None else {**checkpoint, CONFIG_KEY: config}


def weights_in(checkpoint: dict[str, Any], path: str) -> dict[str, Tensor]:
    """The state dict in a checkpoint that was read from ``path``, which may be one itself.

    With SOLVER.EMA it is the average of the weights, by which the run was judged.

    Raises:
        ValueError: if it holds something else.
    """
    checkpoint = checkpoint.get(AVERAGE_KEY, checkpoint)
    weights = checkpoint.get("model", checkpoint) if isinstance(checkpoint, dict) else checkpoint
    if not isinstance(weights, dict):
        raise ValueError(f"{path} is no checkpoint: its 'model' is a {type(weights).__name__}")
    others = [
        name
        for name, value in weights.items()
        if not (isinstance(name, str) and torch.is_tensor(value))
    ]
    if others:
        raise ValueError(f"{path} is no checkpoint: its {others[0]!r} is no tensor")
    return weights


@dataclass(frozen=True)
class WeightDifferences:
    """Names of the tensors in which a file and a detector differ."""

    missing: set[str]
    unexpected: set[str]
    reshaped: set[str]

    @classmethod
    def between(cls, weights: dict[str, Tensor], model: nn.Module) -> WeightDifferences:
        """Compare the state dict of a file with that of a detector."""
        expected = model.state_dict()
        common = expected.keys() & weights.keys()
        return cls(
            missing=expected.keys() - weights.keys(),
            unexpected=weights.keys() - expected.keys(),
            reshaped={name for name in common if expected[name].shape != weights[name].shape},
        )

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        parts = {
            "it lacks": self.missing,
            "there is no place for": self.unexpected,
            "other shapes have": self.reshaped,
        }
        return "; ".join(f"{what} {_some(names)}" for what, names in parts.items() if names)


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


def without_training_parts(cfg: CfgNode) -> CfgNode:
    """A copy of ``cfg`` whose detector has neither a first shot nor a mask branch."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.FIRST_SHOT.ENABLED = False
    cfg.MODEL.SHOT.WEAK_MASK.ENABLED = False
    return cfg


def load_trained(model: nn.Module, path: str) -> None:
    """Load all weights of a trained detector.

    Where detectron2's checkpointer logs what does not fit and leaves it at random, this fails.

    Args:
        model: a detector, as it is trained or :func:`without_training_parts`.
        path: a checkpoint or a state dict of it; training-only parts that the model does not have
            are passed over.

    Raises:
        ValueError: if the file is no checkpoint, not of this detector, or of one that diverged;
            names some weights.
    """
    weights = weights_in(read_checkpoint(path), path)
    expected = model.state_dict()
    weights = {
        name: value
        for name, value in weights.items()
        if name in expected or not _TRAINING_ONLY.search(name)
    }
    differences = WeightDifferences.between(weights, model)
    if differences:
        raise ValueError(
            f"The weights in {path} are not of the detector that the config describes "
            f"({differences}): give the config that they were trained by"
        )
    # Behind a rectifier, what is not finite may seem to be no more than a detector that finds
    # nothing.
    for name, value in weights.items():
        if not value.isfinite().all():
            raise ValueError(
                f"The weights in {path} are not finite ({name}): the training diverged; take an "
                "earlier checkpoint"
            )
    model.load_state_dict(weights)


def build_trained(cfg: CfgNode) -> nn.Module:
    """The detector of a config, with the weights of its MODEL.WEIGHTS, ready to be used.

    Raises:
        ValueError: see :func:`load_trained`.
    """
    model = build_model(cfg).eval()
    load_trained(model, cfg.MODEL.WEIGHTS)
    return model


def load_matching(model: nn.Module, path: str) -> str:
    """Load the weights of a file that a detector has a place for, to start training from them.

    Args:
        model: the detector.
        path: a checkpoint or a state dict, such as of a backbone alone.

    Returns:
        How many tensors were loaded, and which were not.

    Raises:
        OSError, ValueError: if the file is no checkpoint, or not one tensor fits the detector.
    """
    weights = weights_in(read_checkpoint(path), path)
    differences = WeightDifferences.between(weights, model)
    matching = {
        name: value
        for name, value in weights.items()
        if name not in differences.unexpected | differences.reshaped
    }
    if not matching:
        raise ValueError(
            f"Not one tensor of {path} fits the detector that the config describes "
            f"({differences}): for ImageNet weights of the bottom-up network alone set "
            "MODEL.BOTTOM_UP.WEIGHTS instead"
        )
    model.load_state_dict(matching, strict=False)
    found = f"{len(matching)} of the detector's {len(model.state_dict())} tensors"
    return f"Loaded {found} from {path}" + (f" ({differences})" if differences else "")
