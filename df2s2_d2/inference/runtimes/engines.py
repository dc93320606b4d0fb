"""Exported files, opened by an engine; without torch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from df2s2_d2.inference.detect_onnx import open_onnx
from df2s2_d2.inference.runtimes.openvino_core import openvino_core
from df2s2_d2.missing_packages import with_remedy

# What an exported file takes and gives, in this order.
INPUT = "images"
OUTPUTS = ("boxes", "scores", "image_index")

# Suffixes of the files that engines open.
ONNX_SUFFIX, OPENVINO_SUFFIX = ".onnx", ".xml"

# Precision -> OpenVINO's name of it. By itself it would choose by the processor.
_OPENVINO_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
# It makes kernels for each size of an image, and keeps those of the last few dozen sizes: by itself
# it would keep ten times as many, and memory grow with the sizes of the photographs of a folder.
_OPENVINO_KERNELS = 500
# Where an image is so small that the coarsest maps are empty, OpenVINO gives, without an error,
# what it gave for an image before, and goes on to do so. These maps have a cell for 128 pixels.
_OPENVINO_LEAST_SIDE = 128


class Engine(NamedTuple):
    """An exported file that is ready to run; from any number of threads.

    Attributes:
        run: maps images (N, 3, H, W) uint8 to boxes (D, 4), scores (D,) and image_index (D,).
        metadata: what the file says of itself, see
            :func:`~df2s2_d2.inference.export.describe_detector`.
        precision: in which it computes what is not quantised, "fp32" or "bf16".
    """

    run: Callable[[np.ndarray], Sequence[np.ndarray]]
    metadata: Mapping[str, str]
    precision: str


def is_exported(path: str) -> bool:
    """Whether a path is called as an exported file that engines run, and no checkpoint."""
    return path.endswith((ONNX_SUFFIX, OPENVINO_SUFFIX))


def engine_for(path: str) -> str:
    """The engine whose own format an exported file has."""
    return "openvino" if path.endswith(OPENVINO_SUFFIX) else "onnx"


def exported_metadata(path: str) -> Mapping[str, str]:
    """What an exported file says of itself, read without making it ready to run.

    Raises:
        FileNotFoundError, ModuleNotFoundError, ValueError: as :func:`open_engine`.
    """
    _check_file(path)
    # OpenVINO reads files of ONNX too; without either, the engine of the format is the one to get.
    has_other_alone = find_spec("onnxruntime") is None and find_spec("openvino") is not None
    by_onnx = engine_for(path) == "onnx" and not has_other_alone
    try:
        return open_onnx(path, is_optimized=False)[1] if by_onnx else _read_openvino(path)[1]
    except ModuleNotFoundError as error:
        raise with_remedy(error) from error


def open_engine(
    runtime: str, file: str | bytes, *, threads: int | None = None, precision: str = "fp32"
) -> Engine:
    """Open an exported file.

    Args:
        runtime: a key of ``ENGINES``.
        file: path of a file of ``df2s2 export``, or the content of an ONNX file.
        threads: that a call may take; None leaves that to the engine.
        precision: "fp32"; with OpenVINO also "bf16", or "auto", which is bf16 where the processor
            has instructions for it.

    Raises:
        FileNotFoundError: if there is no such file.
        ModuleNotFoundError: if the engine is not installed; says how.
        ValueError: if there is no such engine or precision, or it cannot run the file.
    """
    if runtime not in ENGINES:
        raise ValueError(f"runtime: expected {' or '.join(ENGINES)}; found {runtime!r}")
    if isinstance(file, str):
        _check_file(file)
    try:
        return ENGINES[runtime](file, threads, precision)
    except ModuleNotFoundError as error:
        raise with_remedy(error) from error


def _check_file(path: str) -> None:
    # An engine would try to read anything else as files of other tools.
    if not is_exported(path):
        raise ValueError(
            f"{path} is no file of `df2s2 export` that an engine runs: expected "
            f"*{ONNX_SUFFIX} or *{OPENVINO_SUFFIX}"
        )
    if not os.path.isfile(path):
        raise FileNotFoundError(f"The model {path} does not exist: give an exported file or a name")


def _open_onnx_runtime(file: str | bytes, threads: int | None, precision: str) -> Engine:
    if precision not in ("auto", "fp32"):
        raise ValueError(f"precision: ONNX Runtime computes in fp32 here, found {precision!r}")
    if isinstance(file, str) and file.endswith(OPENVINO_SUFFIX):
        raise ValueError(f"{file} is a file of OpenVINO: run it by the runtime 'openvino'")
    return Engine(*open_onnx(file, threads), "fp32")


def _open_openvino(file: str | bytes, threads: int | None, precision: str) -> Engine:
    model, metadata = _read_openvino(file)
    core = openvino_core()
    if precision == "auto":
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = "bf16" if has_bf16 else "fp32"
    if precision not in _OPENVINO_PRECISIONS:
        raise ValueError(
            f"precision: OpenVINO computes in auto, {' or '.join(_OPENVINO_PRECISIONS)} here, "
            f"found {precision!r}"
        )
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _OPENVINO_PRECISIONS[precision],
        "CPU_RUNTIME_CACHE_CAPACITY": _OPENVINO_KERNELS,
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    with _telling_of(file):
        compiled = core.compile_model(model, "CPU", settings)
        outputs = [compiled.output(name) for name in OUTPUTS]
    local = threading.local()  # A request serves one thread at a time.

    def run(images: np.ndarray) -> list[np.ndarray]:
        height, width = images.shape[2:]
        if min(height, width) < _OPENVINO_LEAST_SIDE:
            raise ValueError(
                f"OpenVINO computes images from {_OPENVINO_LEAST_SIDE} x {_OPENVINO_LEAST_SIDE} "
                f"pixels, found {width} x {height}: enlarge them, or choose the runtime 'onnx'"
            )
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        found = local.request.infer({INPUT: images})
        boxes, scores, image_index = (found[output] for output in outputs)
        # Where nothing is found, its arrays forget their other dimensions.
        return [boxes.reshape(-1, 4), scores.reshape(-1), image_index.reshape(-1)]

    return Engine(run, metadata, precision)


def _read_openvino(file: str | bytes) -> tuple[Any, dict[str, str]]:
    """A model of OpenVINO, and its metadata, which are those of the ONNX file that it is or was
    made of.
    """
    core = openvino_core()
    with _telling_of(file):
        model = core.read_model(file)
    if not model.has_rt_info("framework"):
        return model, {}
    metadata = model.get_rt_info("framework").astype(dict)
    return model, {key: value.astype(str) for key, value in metadata.items()}


@contextmanager
def _telling_of(file: str | bytes) -> Iterator[None]:
    """Errors of OpenVINO in a sentence that names the file."""
    try:
        yield
    except RuntimeError as error:
        place = file if isinstance(file, str) else "The exported detector"
        raise ValueError(
            f"{place} is no file of `df2s2 export` that OpenVINO runs: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    """The last line of an error, before which OpenVINO tells where in its code it was."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)


# Name of a runtime -> what opens a file by it.
ENGINES: Mapping[str, Callable[[str | bytes, int | None, str], Engine]] = {
    "onnx": _open_onnx_runtime,
    "openvino": _open_openvino,
}
