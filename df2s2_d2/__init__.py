"""Face detection with detectron2: DF²S², DSFD, and WIDER FACE registration and evaluation.

``from df2s2_d2 import add_df2s2_config`` registers all models and data sets with detectron2;
``Predictor`` finds faces with a trained model.
``df2s2_d2.evaluation`` alone needs neither torch nor detectron2.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["Predictor", "add_df2s2_config", "load_config"]


def __getattr__(name: str):
    # Lazy, because importing detectron2 takes seconds that the evaluation tools do not need.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import df2s2_d2.config
    import df2s2_d2.data
    import df2s2_d2.modeling

    if name == "Predictor":
        from df2s2_d2.inference.predictor import Predictor

        return Predictor
    return getattr(df2s2_d2.config, name)
