"""A detector as an ONNX file, for ONNX Runtime and other engines."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from df2s2_d2.inference.export.exportable_detector import (
    ExportableDetector,
    example_images,
    expected_warnings_ignored,
)
from df2s2_d2.inference.export.torchscript import suppress_image_by_image
from df2s2_d2.inference.runtimes import INPUT, OUTPUTS
from df2s2_d2.modeling import FaceDetector

OPSET = 17


def export_onnx(detector: FaceDetector, path: Path, metadata: Mapping[str, str]) -> None:
    """Write an ONNX file with standard operators only, and check it.

    Its input ``images`` is uint8; N, H and W are free. Its outputs are ``boxes``, ``scores`` and
    ``image_index``, see :meth:`ExportableDetector.forward`.

    Args:
        detector: to be written.
        path: of the file.
        metadata: written as the file's metadata_props.

    Raises:
        ImportError: if onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "exporting to ONNX needs the package onnx: pip install 'df2s2_d2[export]'"
        ) from error
    exportable = ExportableDetector(detector, _NonMaxSuppression.apply)
    with tempfile.TemporaryDirectory() as folder, expected_warnings_ignored():
        unchecked = str(Path(folder) / "model.onnx")
        torch.onnx.export(
            exportable,
            (example_images(),),
            unchecked,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={
                INPUT: {0: "N", 2: "H", 3: "W"},
                **{name: {0: "D"} for name in OUTPUTS},
            },
        )
        model = onnx.load(unchecked)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


class _NonMaxSuppression(torch.autograd.Function):
    """A Suppression that becomes ONNX's operator of that name.

    The operator keeps the images of a batch apart itself.
    """

    @staticmethod
    def forward(ctx, *arguments) -> Tensor:
        return suppress_image_by_image(*arguments)

    @staticmethod
    def symbolic(g, boxes, scores, score_threshold, nms_threshold, max_detections):
        def constant(value: float | list[int], dtype: torch.dtype):
            return g.op("Constant", value_t=torch.tensor(value, dtype=dtype))

        def column(index: int):
            return g.op("Gather", selected, constant(index, torch.int64), axis_i=1)

        one = constant([1], torch.int64)
        selected = g.op(  # (D, 3): image, class and place of each box
            "NonMaxSuppression",
            boxes,
            g.op("Unsqueeze", scores, one),
            constant([max_detections], torch.int64),
            constant([nms_threshold], torch.float32),
            constant([score_threshold], torch.float32),
        )
        num_candidates = g.op("Gather", g.op("Shape", scores), one)
        places = g.op("Add", g.op("Mul", column(0), num_candidates), column(2))
        # ONNX leaves the order of the boxes open.
        ascending, _ = g.op(
            "TopK", places, g.op("Shape", places), largest_i=0, sorted_i=1, outputs=2
        )
        return ascending
