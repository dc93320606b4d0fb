"""Checkpoints cut down to what finding faces needs, to be passed on."""

from __future__ import annotations

from typing import Any

from detectron2.modeling import build_model
from torch import Tensor

from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, config_of
from df2s2_d2.inference.trained_weights import load_trained, read_checkpoint, without_training_parts
from df2s2_d2.modeling import FaceDetector


def packed(path: str, half: bool = True) -> dict[str, Any]:
    """The weights and the config of a checkpoint, without what only training needs.

    Args:
        path: a checkpoint that carries its config.
        half: whether weights become float16, half as large; they are float32 again in the detector
            that loads them.

    Returns:
        ``{"model": tensors by name, "config": YAML}``, which a Predictor takes like any checkpoint.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, carries no config, is of another detector than that
            describes, or holds weights beyond the range of float16.
    """
    detector = build_model(without_training_parts(config_of(path)))
    if not isinstance(detector, FaceDetector):
        raise ValueError(f"{path} is a checkpoint of a {type(detector).__name__}, no FaceDetector")
    load_trained(detector, path)
    weights = {name: x.cpu() for name, x in detector.state_dict().items()}
    if half:
        weights = {name: _as_half(name, x, path) for name, x in weights.items()}
    return {"model": weights, CONFIG_KEY: read_checkpoint(path)[CONFIG_KEY]}


def _as_half(name: str, tensor: Tensor, path: str) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not half.isfinite().all():
        raise ValueError(f"{path}: {name!r} holds values that float16 cannot hold")
    return half
