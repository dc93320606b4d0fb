"""Which engine computes the detector of a config."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from detectron2.config import CfgNode

from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.inference.config_changes import config_changes
from df2s2_d2.inference.export.onnx import export_onnx
from df2s2_d2.inference.runtimes.engine_detector import EngineDetector
from df2s2_d2.inference.runtimes.engines import (
    ENGINES,
    engine_for,
    is_exported,
    open_engine,
)
from df2s2_d2.inference.trained_weights import without_training_parts
from df2s2_d2.modeling import FaceDetector
from df2s2_d2.models import local_file

# PyTorch, or an engine; "auto" is the fastest that finds the same.
RUNTIMES = ("auto", "torch", *ENGINES)

# Keys of what an exported file computes. All others of a config are followed outside of it.
_COMPUTED = ("MODEL.", "INPUT.FORMAT", "TEST.DETECTIONS_PER_IMAGE")
_PLACES = ("MODEL.WEIGHTS", "MODEL.BOTTOM_UP.WEIGHTS", "MODEL.DEVICE")
_SCORE_THRESHOLD = "MODEL.FACE_DETECTOR.SCORE_THRESH_TEST"


def choose_runtime(runtime: str, cfg: CfgNode, precision: str) -> str:
    """What shall compute a detector.

    "auto" is an engine for an exported file; for a model that has one of ONNX beside its weights,
    ONNX Runtime where it is installed, on the CPU, in fp32 and as long as the config asks for
    nothing that the file does not compute; PyTorch for all else.

    Args:
        runtime: one of ``RUNTIMES``.
        cfg: of the detector.
        precision: of the arithmetic.

    Returns:
        "torch", or a key of ``ENGINES``.

    Raises:
        ValueError: if there is no such runtime, or not for this file.
    """
    weights = cfg.MODEL.WEIGHTS
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime: expected {', '.join(RUNTIMES)}; found {runtime!r}")
    if is_exported(weights):
        if runtime == "torch":
            raise ValueError(
                f"{weights} is an exported file, which PyTorch does not run: choose the runtime "
                f"{' or '.join(ENGINES)}, or give the checkpoint"
            )
        if runtime == "auto":
            return engine_for(weights)
        return runtime
    if runtime != "auto":
        return runtime
    is_faster = (
        cfg.MODEL.DEVICE == "cpu"
        and precision == "fp32"
        and find_spec("onnxruntime") is not None
        and _onnx_twin(weights) is not None
        and not _uncomputed(weights, cfg)
    )
    return "onnx" if is_faster else "torch"


def engine_detector(
    runtime: str, cfg: CfgNode, detector: FaceDetector, precision: str
) -> EngineDetector:
    """The detector of a config as an engine computes it.

    A model that has a file of ONNX beside its weights is run by that; any other detector is
    exported, which takes seconds.

    Args:
        runtime: a key of ``ENGINES``.
        cfg: of the detector.
        detector: of the config, on the CPU; trained, unless the weights are an exported file.
        precision: see :func:`~df2s2_d2.inference.runtimes.open_engine`.

    Raises:
        ImportError: if the engine is not installed, or what exports; says how.
        ValueError: if the file does not compute what the config asks for, or the engine cannot
            run it.
    """
    weights = cfg.MODEL.WEIGHTS
    path = weights if is_exported(weights) else _onnx_twin(weights)
    uncomputed = _uncomputed(weights, cfg) if path else {}
    if path and not uncomputed:
        file: str | bytes = path
    elif path == weights:
        key, change = next(iter(uncomputed.items()))
        raise ValueError(
            f"{weights} cannot do what is asked for, {key} {change}: export the detector with "
            f"--opts {key} and that value"
        )
    else:
        file = _exported(detector)
    engine = open_engine(runtime, file, threads=torch.get_num_threads(), precision=precision)
    options = cfg.MODEL.FACE_DETECTOR
    return EngineDetector(
        engine,
        score_threshold=options.SCORE_THRESH_TEST,
        max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        round_boxes_outward=options.ROUND_OUTWARD,
    )


def _onnx_twin(weights: str) -> str | None:
    """The ONNX file of the model of that name, if it has one that is on this machine."""
    try:
        path = local_file(weights, "onnx")
    except (FileNotFoundError, ValueError):
        return None
    return None if path == weights else path


def _exported(detector: FaceDetector) -> bytes:
    """An ONNX file of a detector, whose boxes are left to be rounded in the original's pixels."""
    detector.round_boxes_outward = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detector.onnx"
        export_onnx(detector, path, metadata={})
        return path.read_bytes()


def _uncomputed(weights: str, cfg: CfgNode) -> Mapping[str, str]:
    """What a config asks for and the file that was exported by that of ``weights`` does not give.

    Returns:
        Key -> "value in the file -> value asked for".
    """
    carried = config_of(weights)
    changes = {
        key: change
        for key, change in config_changes(
            without_training_parts(carried), without_training_parts(cfg)
        ).items()
        if key.startswith(_COMPUTED) and key not in _PLACES
    }
    given, asked = (x.MODEL.FACE_DETECTOR.SCORE_THRESH_TEST for x in (carried, cfg))
    if asked >= given:  # which is a matter of leaving out
        changes.pop(_SCORE_THRESHOLD, None)
    return changes
