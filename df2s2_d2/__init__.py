"""Face detection with detectron2: DF²S², DSFD, and WIDER FACE registration and evaluation.

``from df2s2_d2 import add_df2s2_config`` registers all models and data sets with detectron2;
``Predictor`` finds faces with a trained model, ``OnnxPredictor`` with an exported one, both as
``Faces``; ``FaceTracker`` follows them through a video; ``list_configs`` names what ``load_config``
loads. ``df2s2_d2.evaluation``, ``OnnxPredictor`` and ``FaceTracker`` need neither torch nor
detectron2.
"""

from __future__ import annotations

from importlib import import_module

from df2s2_d2.shipped_configs import list_configs

__version__ = "0.1.0"
# Name -> where it lies; lazy, because importing detectron2 takes seconds that the evaluation tools
# do not need.
_LAZY = {
    "FaceTracker": "df2s2_d2.inference.tracking.face_tracker",
    "Faces": "df2s2_d2.inference.faces",
    "OnnxPredictor": "df2s2_d2.inference.onnx_predictor",
    "Predictor": "df2s2_d2.inference.predictor",
    "add_df2s2_config": "df2s2_d2.config",
    "load_config": "df2s2_d2.config",
}
# What needs neither torch nor detectron2.
_LIGHT = ("FaceTracker", "Faces", "OnnxPredictor")
__all__ = [*_LAZY, "list_configs"]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        if name not in _LIGHT:
            import df2s2_d2.data
            import df2s2_d2.modeling  # noqa: F401

        return getattr(import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        from df2s2_d2.missing_packages import with_remedy

        raise with_remedy(error) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
