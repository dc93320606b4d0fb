"""Detectors as files that run without this package: ONNX, OpenVINO and TorchScript."""

from df2s2_d2.inference.export.export_detector import (
    FORMATS,
    export_detector,
    format_of,
    load_exportable,
)
from df2s2_d2.inference.export.exported_detector import Difference, ExportedDetector, difference
from df2s2_d2.inference.export.metadata import describe_detector
from df2s2_d2.inference.export.onnx import export_onnx
from df2s2_d2.inference.export.parity import check_images
from df2s2_d2.inference.export.quantization import calibration_images
from df2s2_d2.inference.export.torchscript import export_torchscript

__all__ = [
    "FORMATS",
    "Difference",
    "ExportedDetector",
    "calibration_images",
    "check_images",
    "describe_detector",
    "difference",
    "export_detector",
    "export_onnx",
    "export_torchscript",
    "format_of",
    "load_exportable",
]
