"""Engines that compute what a detector finds on the CPU: ONNX Runtime and OpenVINO."""

from df2s2_d2.inference.runtimes.engines import (
    ENGINES,
    INPUT,
    OUTPUTS,
    Engine,
    engine_for,
    exported_metadata,
    is_exported,
    open_engine,
)

__all__ = [
    "ENGINES",
    "INPUT",
    "OUTPUTS",
    "Engine",
    "engine_for",
    "exported_metadata",
    "is_exported",
    "open_engine",
]
