"""Checkpoints made into files to be passed on, with the row of the index that names them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from df2s2_d2.inference.checkpoint_config import config_of, portable
from df2s2_d2.inference.export import export_detector, load_exportable
from df2s2_d2.inference.export.half_weights import store_weights_as_half
from df2s2_d2.inference.trained_weights import CONFIG_KEY
from df2s2_d2.modeling import FaceDetector


def publish(
    checkpoint: str,
    folder: Path,
    name: str,
    *,
    half: bool = True,
    onnx: bool = False,
    **row: Any,
) -> dict[str, Any]:
    """Write what finding faces needs of a checkpoint: weights and config, in a file without code.

    Training state and parts that exist in training only are left out.

    Args:
        checkpoint: one that carries its config.
        folder: for ``NAME.safetensors`` and ``NAME.onnx``.
        name: of the model, as it will stand in an index.
        half: whether weights are stored as float16, half as large; they are float32 again in the
            detector that loads them.
        onnx: whether the detector is exported too.
        row: what else the index says of the model, such as ``license``.

    Returns:
        The row of an index, see :mod:`df2s2_d2.models.index`.

    Raises:
        ImportError: if ``onnx`` is asked for and the package is not installed.
        OSError: if a file cannot be read or written.
        ValueError: if the checkpoint carries no config, is of another detector than that describes,
            or holds weights beyond the range of float16.
    """
    cfg = config_of(checkpoint)
    detector, exported_cfg = load_exportable(checkpoint, config_file=None, overrides=[])
    if not isinstance(detector, FaceDetector):
        raise ValueError(
            f"{checkpoint} is a checkpoint of a {type(detector).__name__}, no FaceDetector"
        )
    weights = {key: x.contiguous() for key, x in detector.state_dict().items()}
    if half:
        weights = {key: _as_half(key, x, checkpoint) for key, x in weights.items()}

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    path.write_bytes(save(weights, metadata={CONFIG_KEY: portable(cfg).dump()}))
    files = {"weights": path}
    if onnx:
        files["onnx"] = folder / f"{name}.onnx"
        export_detector(detector, exported_cfg, files["onnx"], name)
        if half:
            store_weights_as_half(files["onnx"])
    return {**row, "files": {kind: _described(file) for kind, file in files.items()}}


def _as_half(name: str, tensor: Tensor, path: str) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not half.isfinite().all():
        raise ValueError(f"{path}: {name!r} holds values that float16 cannot hold")
    return half


def _described(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }
