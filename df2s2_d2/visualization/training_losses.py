"""Losses of a training run, drawn with matplotlib alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from df2s2_d2.evaluation.figures import save_figure


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
