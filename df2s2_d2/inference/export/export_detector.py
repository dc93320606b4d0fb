"""Export to the format that a file's name asks for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from detectron2.config import CfgNode
from detectron2.modeling import build_model

from df2s2_d2.formats.whole_outputs import replacing
from df2s2_d2.inference.checkpoint_config import named_config
from df2s2_d2.inference.export.metadata import describe_detector
from df2s2_d2.inference.export.onnx import export_onnx
from df2s2_d2.inference.export.openvino import check_openvino, save_for_openvino
from df2s2_d2.inference.export.quantization import quantize_onnx
from df2s2_d2.inference.export.torchscript import export_torchscript
from df2s2_d2.inference.runtimes.engines import ONNX_SUFFIX, OPENVINO_SUFFIX
from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_trained,
    without_training_parts,
)
from df2s2_d2.modeling import FaceDetector


@dataclass(frozen=True)
class ExportFormat:
    """A kind of exported file.

    Attributes:
        suffixes: by which its files are called.
        is_quantized: whether convolutions are computed in 8-bit integers.
    """

    suffixes: tuple[str, ...]
    is_quantized: bool = False


FORMATS: Mapping[str, ExportFormat] = {
    "onnx": ExportFormat((ONNX_SUFFIX,)),
    "onnx-int8": ExportFormat((ONNX_SUFFIX,), is_quantized=True),
    "openvino": ExportFormat((OPENVINO_SUFFIX,)),
    "openvino-int8": ExportFormat((OPENVINO_SUFFIX,), is_quantized=True),
    "torchscript": ExportFormat((".pt", ".torchscript")),
}


def format_of(path: Path, name: str | None = None) -> str:
    """The format that a file is to be written in.

    Args:
        path: of the file.
        name: of the format; None for what its suffix says, which is none that is quantised.

    Raises:
        ValueError: if there is no such format, or its files have other suffixes.
    """
    if name is not None and name not in FORMATS:
        raise ValueError(f"format: expected {', '.join(FORMATS)}; found {name!r}")
    for known, kind in FORMATS.items():
        if path.suffix in kind.suffixes and name in (None, known):
            return known
    kinds = FORMATS.values() if name is None else [FORMATS[name]]
    suffixes = dict.fromkeys(suffix for kind in kinds for suffix in kind.suffixes)
    raise ValueError(f"{path}: the file has to be called *{', *'.join(suffixes)}")


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
    detector = build_model(cfg).eval()
    load_trained(detector, weights)
    return detector, cfg


def export_detector(
    detector: FaceDetector,
    cfg: CfgNode,
    path: str | Path,
    name: str,
    *,
    format: str | None = None,
    images: Iterable[np.ndarray] = (),
) -> None:
    """Write a detector as a file that runs without this package.

    Args:
        detector: to be written; it stays as it is.
        cfg: of the detector.
        path: of the file: ``*.onnx``; ``*.xml`` for OpenVINO; or ``*.pt`` or ``*.torchscript``.
        name: of the detector in the file's metadata, see :func:`describe_detector`.
        format: a key of ``FORMATS``; None for what the suffix says.
        images: that calibrate a quantised file, see
            :func:`~df2s2_d2.inference.export.quantization.calibration_images`.

    Raises:
        ImportError: if a package that the format needs is not installed; says how.
        ValueError: if the suffix is not of that format.
    """
    path = Path(path)
    format = format_of(path, format)
    if path.suffix == OPENVINO_SUFFIX:
        check_openvino()
    metadata = describe_detector(cfg, name)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"detector{path.suffix}"
        if format == "torchscript":
            export_torchscript(detector, written, metadata)
        else:
            onnx_file = written.with_suffix(ONNX_SUFFIX)
            export_onnx(detector, onnx_file, metadata)
            if FORMATS[format].is_quantized:
                quantize_onnx(onnx_file, images)
            if path.suffix == OPENVINO_SUFFIX:
                save_for_openvino(onnx_file, written)
                # Before the network, without which nobody looks for its weights.
                _put(written.with_suffix(".bin"), path.with_suffix(".bin"))
        _put(written, path)


def _put(file: Path, path: Path) -> None:
    """Let a file appear at ``path``, which never stands for a part of it."""
    with replacing(path) as place:
        shutil.copyfile(file, place)
