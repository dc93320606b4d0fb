"""Pictures of results, drawn with matplotlib alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .wider_face import WiderFaceResult


def plot_precision_recall(
    results: Mapping[str, WiderFaceResult], path: str | os.PathLike, title: str = ""
) -> None:
    """Precision over recall, a panel for each setting and a curve for each result.

    Args:
        results: legend entry -> result; all with the same settings.
        path: of the picture; its ending is the format.
        title: above the panels, such as the protocol.
    """
    settings = list(next(iter(results.values())).precision)
    figure = Figure(figsize=(4.4 * len(settings), 4.4), layout="constrained")
    for axes, setting in zip(
        figure.subplots(1, len(settings), squeeze=False)[0], settings, strict=True
    ):
        for name, result in results.items():
            average_precision = result.ap[f"AP_{setting}"]
            axes.plot(
                result.recall[setting],
                result.precision[setting],
                label=f"{name} {average_precision:.3f}",
            )
        axes.set(title=setting.capitalize(), xlabel="recall", xlim=(0, 1.01), ylim=(0, 1.01))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left")
    figure.axes[0].set_ylabel("precision")
    figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=120)


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
    figure.savefig(path, dpi=120)
