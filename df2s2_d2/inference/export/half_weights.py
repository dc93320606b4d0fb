"""Exported files of half the size: weights stored as float16, computed with as float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# The node of a cast takes about as much space as so many values save.
_WORTH_A_CAST = 64


def store_weights_as_half(path: Path) -> None:
    """Rewrite an ONNX file so that its large weights are float16, turned to float32 when loaded.

    The casts have constant inputs, so that an engine folds them before it runs: the detector then
    is as fast as before, and differs by the rounding of its weights alone.

    Args:
        path: of the file.

    Raises:
        ValueError: if a weight is beyond the range of float16; the file stays as it was.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _WORTH_A_CAST:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            raise ValueError(f"{path}: {tensor.name!r} holds values that float16 cannot hold")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
