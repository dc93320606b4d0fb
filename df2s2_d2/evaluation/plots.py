"""Pictures of results, drawn with matplotlib alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .wider_face import PublishedCurves, WiderFaceResult
from .wider_face.ground_truth import SETTINGS


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


def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Save a figure in the format of the path's ending.

    Raises:
        ValueError: if matplotlib does not know the format; the message names the file.
    """
    try:
        figure.savefig(path, dpi=120)
    except ValueError as error:
        raise ValueError(f"{path} cannot be written: {error}") from error


def as_rgb(figure: Figure, dpi: int = 80) -> np.ndarray:
    """The pixels of a figure.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def plot_losses(metrics_file: str | os.PathLike, path: str | os.PathLike) -> None:
    """Losses and learning rate over the iterations of a training run.

    Args:
        metrics_file: ``metrics.json`` of the run, a JSON object a line.
        path: of the picture; its ending is the format.

    Raises:
        ValueError: if the file holds no losses.
    """
    rows = [json.loads(line) for line in Path(metrics_file).read_text().splitlines()]
    rows = [row for row in rows if "total_loss" in row]
    if not rows:
        raise ValueError(f"{metrics_file} holds no losses: the run ended before its first report")
    # A run that was resumed reports some iterations again: the later report counts.
    by_iteration = {row["iteration"]: row for row in rows}
    rows = [by_iteration[iteration] for iteration in sorted(by_iteration)]
    iterations = np.array([row["iteration"] for row in rows])
    names = sorted({name for row in rows for name in row if name.startswith("loss_")})
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for name in ["total_loss", *names]:
        values = np.array([row.get(name, np.nan) for row in rows])
        axes.plot(iterations, values, label=name, linewidth=2 if name == "total_loss" else 1.2)
    axes.set(xlabel="iteration", ylabel="loss (median of 20 iterations)", yscale="log")
    axes.grid(alpha=0.3, which="both")
    rate = axes.twinx()
    rate.plot(iterations, [row["lr"] for row in rows], color="0.6", linestyle=":", label="lr")
    rate.set_ylabel("learning rate")
    handles = [*axes.get_lines(), *rate.get_lines()]
    axes.legend(handles, [line.get_label() for line in handles], fontsize="small")
    save_figure(figure, path)
