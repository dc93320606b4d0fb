"""Export to the format that a file's name asks for."""

from __future__ import annotations

from pathlib import Path

from detectron2.config import CfgNode

from df2s2_d2.inference.export.metadata import describe_detector
from df2s2_d2.inference.export.onnx import export_onnx
from df2s2_d2.inference.export.torchscript import export_torchscript
from df2s2_d2.modeling import FaceDetector

# Suffix of a file -> what writes it.
_EXPORTERS = {".onnx": export_onnx, ".pt": export_torchscript, ".torchscript": export_torchscript}
SUFFIXES = tuple(_EXPORTERS)


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
