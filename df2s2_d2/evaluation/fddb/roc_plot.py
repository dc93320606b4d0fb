"""FDDB's curves, drawn with matplotlib alone."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .scoring import FddbResult

_MOST_FALSE_POSITIVES = 2000
_LEGEND_FALSE_POSITIVES = 1000


def plot_roc(results: Mapping[str, FddbResult], path: str | os.PathLike, title: str = "") -> None:
    """Discrete and continuous rate over false positives, up to 2,000 of them.

    Args:
        results: legend entry -> result. The entry is drawn with the rate at 1,000 false positives.
        path: of the picture; its ending is the format.
        title: above the panels, such as the protocol.
    """
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    panels = (("disc", "discrete", "Discrete score"), ("cont", "continuous", "Continuous score"))
    for axes, (key, curve, heading) in zip(figure.subplots(1, 2), panels, strict=True):
        lowest = 1.0
        for name, result in results.items():
            rates = result.rates()[key]
            shown = result.false_positives <= _MOST_FALSE_POSITIVES
            axes.plot(
                result.false_positives[shown],
                getattr(result, curve)[shown],
                label=f"{name} {rates[_LEGEND_FALSE_POSITIVES]:.4f}",
            )
            lowest = min(lowest, *rates.values())
        # The steep start of the curves would press what tells them apart to the upper border.
        bottom = max(math.floor(lowest * 10 - 0.5) / 10, 0)
        axes.set(title=heading, xlabel="false positives", ylabel="true positive rate")
        axes.set(xlim=(0, _MOST_FALSE_POSITIVES), ylim=(bottom, 1 if key == "disc" else None))
        axes.set_xticks(np.linspace(0, _MOST_FALSE_POSITIVES, 5))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", title=f"at {_LEGEND_FALSE_POSITIVES:,} false positives")
    figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=120)
