"""Export to the format that a file's name asks for."""

from __future__ import annotations

from pathlib import Path

from detectron2.config import CfgNode
from detectron2.modeling import build_model

from df2s2_d2.inference.checkpoint_config import named_config
from df2s2_d2.inference.export.metadata import describe_detector
from df2s2_d2.inference.export.onnx import export_onnx
from df2s2_d2.inference.export.torchscript import export_torchscript
from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_trained,
    without_training_parts,
)
from df2s2_d2.modeling import FaceDetector

# Suffix of a file -> what writes it.
_EXPORTERS = {".onnx": export_onnx, ".pt": export_torchscript, ".torchscript": export_torchscript}
SUFFIXES = tuple(_EXPORTERS)


def load_exportable(
    weights: str, config_file: str | None, overrides: list[str]
) -> tuple[FaceDetector, CfgNode]:
    """Build a trained detector on the CPU, as it can be exported.

    Args:
        weights: its checkpoint.
        config_file: None for the config that the checkpoint carries.
        overrides: ``[key, value, ...]``.

    Returns:
        The detector, and its config.

    Raises:
        FileNotFoundError, ValueError: naming the file and what is wrong with it.
    """
    check_weights_file("--weights", weights)
    cfg = without_training_parts(named_config(weights, config_file, overrides))
    cfg.MODEL.DEVICE = "cpu"
    cfg.TEST.AUG.ENABLED = False  # A file looks at images in one size.
    detector = build_model(cfg).eval()
    load_trained(detector, weights)
    return detector, cfg


def export_detector(detector: FaceDetector, cfg: CfgNode, path: str | Path, name: str) -> None:
    """Write a detector as a file that runs without this package.

    Args:
        detector: to be written; it stays as it is.
        cfg: of the detector.
        path: of the file: ``*.onnx``, or ``*.pt`` or ``*.torchscript`` for TorchScript.
        name: of the detector in the file's metadata, see :func:`describe_detector`.

    Raises:
        ValueError: if the suffix is none of these.
    """
    path = Path(path)
    if path.suffix not in _EXPORTERS:
        raise ValueError(f"{path}: the file has to be called *{', *'.join(SUFFIXES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    _EXPORTERS[path.suffix](detector, path, describe_detector(cfg, name))
