"""Networks in ONNX files: read for images of any size, opened on the CPU, and counted."""

from __future__ import annotations

import math

import onnx
import onnxruntime
from google.protobuf.message import DecodeError


def read_network(
    content: bytes, place: str, name: str, input_name: str, output_names: tuple[str, ...]
) -> onnx.ModelProto:
    """A network that takes images of any size.

    Args:
        content: of its file.
        place: where that comes from, for error messages.
        name: of the network that is expected.
        input_name, output_names: what it has to have; it may have more outputs.

    Raises:
        ValueError: if it is another file than expected; says which one is.
    """
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ValueError(f"{place} is no ONNX file") from error
    inputs = {x.name for x in model.graph.input}
    outputs = {x.name for x in model.graph.output}
    if input_name not in inputs or not outputs.issuperset(output_names):
        raise ValueError(
            f"{place} is not {name}: expected an ONNX file with the input {input_name} and the "
            f"outputs {', '.join(output_names)}"
        )
    _free_sizes(model)
    return model


def _free_sizes(model: onnx.ModelProto) -> None:
    """Let the network take images of any size, its weights being constants."""
    graph = model.graph
    weights = {x.name for x in graph.initializer}
    # Weights that are inputs too could change from call to call, so engines would optimize less.
    inputs = [x for x in graph.input if x.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    _set_input_shape(model, [1, 3, "height", "width"])


def _set_input_shape(model: onnx.ModelProto, shape: list[int | str]) -> None:
    (image,) = model.graph.input
    kind = image.type.tensor_type.elem_type
    image.CopyFrom(onnx.helper.make_tensor_value_info(image.name, kind, shape))
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def open_session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU whose threads do not disturb what runs after it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Else they go on waiting busily for a while, on the cores of the next candidate.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3  # warnings are about superfluous weights in these files
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def count_parameters(model: onnx.ModelProto) -> int:
    """Numbers in all weights of floating point; norms may be folded into them."""
    return sum(
        math.prod(x.dims) for x in model.graph.initializer if x.data_type == onnx.TensorProto.FLOAT
    )


def count_macs(model: onnx.ModelProto, height: int, width: int) -> int:
    """Multiply-accumulate operations of all convolutions for one image.

    Args:
        model: a network of :func:`read_network`.
        height, width: in pixels; such that the network needs no padding.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    _set_input_shape(fixed, [1, 3, height, width])
    graph = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    shapes = {x.name: list(x.dims) for x in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [d.dim_value for d in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            # Every weight behind the first dimension meets every place of the map that the
            # convolution gives, or that the transposed one takes.
            places = node.output[0] if node.op_type == "Conv" else node.input[0]
            total += math.prod(shapes[places]) * math.prod(shapes[node.input[1]][1:])
    return total
