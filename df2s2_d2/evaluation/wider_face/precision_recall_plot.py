"""Precision over recall, drawn with matplotlib alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..figures import save_figure
from .ground_truth import SETTINGS
from .published_curves import PublishedCurves
from .scoring import WiderFaceResult


def plot_precision_recall(
    results: Mapping[str, WiderFaceResult | PublishedCurves],
    path: str | os.PathLike,
    title: str = "",
) -> None:
    """Save the picture of :func:`draw_precision_recall`; the ending of `path` is the format."""
    save_figure(draw_precision_recall(results, title), path)


def draw_precision_recall(
    results: Mapping[str, WiderFaceResult | PublishedCurves],
    title: str = "",
    axes_from: float = 0.0,
) -> Figure:
    """Precision over recall, a panel for each setting and a curve for each result.

    Legends are sorted by average precision. A result looks the same in all panels; published
    curves are thin and lie below, so that one's own stand out.

    Args:
        results: legend entry -> result. One may lack settings that others have.
        title: above the panels, such as the protocol.
        axes_from: where both axes begin; good detectors differ in the upper right corner only.
    """
    settings = list(dict.fromkeys(s for result in results.values() for s in result.precision))
    known = {setting: number for number, setting in enumerate(SETTINGS)}
    settings.sort(key=lambda setting: known.get(setting, len(known)))
    figure = Figure(figsize=(4.4 * len(settings), 4.4), layout="constrained")
    panels = figure.subplots(1, len(settings), squeeze=False, sharey=True)[0]
    for axes, setting in zip(panels, settings, strict=True):
        curves = [
            (result.ap[f"AP_{setting}"], name, result, _line_style(number, result))
            for number, (name, result) in enumerate(results.items())
            if setting in result.precision
        ]
        curves.sort(key=lambda curve: -np.nan_to_num(curve[0]))
        for average_precision, name, result, style in curves:
            label = f"{name} {average_precision:.3f}"
            axes.plot(result.recall[setting], result.precision[setting], label=label, **style)
        limits = axes_from, 1 + 0.01 * (1 - axes_from)
        axes.set(title=setting.capitalize(), xlabel="recall", xlim=limits, ylim=limits)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", handlelength=2.8)
    panels[0].set_ylabel("precision")
    figure.suptitle(title, fontsize="medium")
    return figure


def _line_style(number: int, result: WiderFaceResult | PublishedCurves) -> dict[str, Any]:
    """Ten colours and, for published curves, four kinds of dashes that take turns."""
    if isinstance(result, PublishedCurves):
        dashes = ("-", "--", "-.", ":")[number % 4]
        return {"color": f"C{number % 10}", "linewidth": 1.3, "linestyle": dashes}
    return {"color": f"C{number % 10}", "linewidth": 2.2, "zorder": 3}
