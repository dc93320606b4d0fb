"""Weights of a trained detector, loaded without running code and without gaps."""

from __future__ import annotations

import os
import re
import zipfile
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils.file_io import PathManager
from torch import nn

# Where in a checkpoint the moving average of the weights lies, if the run kept one.
AVERAGE_KEY = "ema"

# Parts that exist in training only: the first shot, and the mask branch of any head.
_TRAINING_ONLY = re.compile(r"^first_shot\.|\.mask_logits\.")


def check_weights_file(key: str, path: str) -> None:
    """Check that a file of weights, if one is named, is there and no pickle of unknown origin.

    Args:
        key: what names it, such as a key of the config.
        path: the file; "" for none.

    Raises:
        FileNotFoundError, ValueError: what is wrong, and where.
    """
    if path.endswith(".pkl") and not path.startswith("detectron2://"):
        raise ValueError(
            f"{key} is {path!r}: pickles are not loaded, as they can run code; save the weights "
            "with torch.save({'model': state_dict}, 'FILE.pth')"
        )
    if path and "://" not in path and not os.path.isfile(path):
        raise FileNotFoundError(
            f"{key} is {path!r}, but there is no such file: give the path of a trained model"
        )


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a checkpoint, or a state dict alone; the file cannot run code.

    Args:
        path: of a file that ``torch.save`` wrote; its tensors stay in it until they are used.

    Raises:
        ValueError: if it is something else.
    """
    path = PathManager.get_local_path(path)
    try:
        # Files of torch < 1.6 are no archives, and cannot be mapped.
        checkpoint = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception as error:  # Unpickling raises whatever other files make it stumble over.
        raise ValueError(
            f"{path} is no checkpoint: expected tensors and plain values as torch.save writes them"
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path} is no checkpoint: it holds a {type(checkpoint).__name__}")
    return checkpoint


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
        ValueError: if the file is no checkpoint, or not of this detector; names some weights.
    """
    checkpoint = read_checkpoint(path)
    # With SOLVER.EMA, the average of the weights is what the run was judged by.
    checkpoint = checkpoint.get(AVERAGE_KEY, checkpoint)
    weights = checkpoint.get("model", checkpoint)
    if not isinstance(weights, dict):
        raise ValueError(f"{path} is no checkpoint: its 'model' is a {type(weights).__name__}")
    expected = model.state_dict()
    weights = {
        name: value
        for name, value in weights.items()
        if name in expected or not _TRAINING_ONLY.search(name)
    }
    differences = {
        "it lacks": expected.keys() - weights.keys(),
        "there is no place for": weights.keys() - expected.keys(),
        "other shapes have": {
            name
            for name in expected.keys() & weights.keys()
            if expected[name].shape != weights[name].shape
        },
    }
    if any(differences.values()):
        found = "; ".join(
            f"{what} {', '.join(sorted(names)[:3])}" + (", ..." if len(names) > 3 else "")
            for what, names in differences.items()
            if names
        )
        raise ValueError(
            f"The weights in {path} are not of the detector that the config describes ({found}): "
            "give the config that they were trained by"
        )
    model.load_state_dict(weights)
