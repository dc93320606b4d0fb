"""An ONNX file as a file of OpenVINO."""

from __future__ import annotations

from pathlib import Path

from df2s2_d2.inference.runtimes.openvino_core import openvino_core
from df2s2_d2.missing_packages import with_remedy


def check_openvino() -> None:
    """Check that OpenVINO is installed.

    Raises:
        ModuleNotFoundError: if it is not; says how.
    """
    try:
        import openvino  # noqa: F401
    except ModuleNotFoundError as error:
        raise with_remedy(error) from error


def save_for_openvino(onnx_file: Path, path: Path) -> None:
    """Write what OpenVINO makes of an ONNX file: the network, and beside it ``*.bin``, the weights.

    It carries the metadata of the ONNX file.

    Args:
        onnx_file: of :func:`~df2s2_d2.inference.export.onnx.export_onnx`, quantised or not.
        path: of the network, ``*.xml``.
    """
    import openvino

    model = openvino_core().read_model(onnx_file)
    openvino.save_model(model, path, compress_to_fp16=False)
