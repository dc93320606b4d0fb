"""Face detection with detectron2: DF²S², DSFD, and WIDER FACE registration and evaluation.

``from df2s2_d2 import add_df2s2_config`` registers all models and data sets with detectron2;
``Predictor`` finds faces with a trained model; ``list_configs`` names what ``load_config`` loads.
``df2s2_d2.evaluation`` alone needs neither torch nor detectron2.
"""

from __future__ import annotations

from df2s2_d2.shipped_configs import list_configs

__version__ = "0.1.0"
# Lazy, because importing detectron2 takes seconds that the evaluation tools do not need.
_LAZY = ("Predictor", "add_df2s2_config", "load_config")
__all__ = [*_LAZY, "list_configs"]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import df2s2_d2.config
        import df2s2_d2.data
        import df2s2_d2.modeling

        if name == "Predictor":
            from df2s2_d2.inference.predictor import Predictor

            return Predictor
    except ModuleNotFoundError as error:
        from df2s2_d2.missing_packages import with_remedy

        raise with_remedy(error) from error
    return getattr(df2s2_d2.config, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
