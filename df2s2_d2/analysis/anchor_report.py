"""Statistics of anchors as text, as a picture and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from df2s2_d2.analysis.anchor_statistics import NEAR_FACTOR, AnchorStatistics


def write_report(statistics: Mapping[str, AnchorStatistics], folder: Path) -> None:
    """Print a table of each config, and write anchors.json and anchors.png of all.

    Args:
        statistics: by the path or name of the config.
        folder: made if need be.

    Raises:
        OSError: if a file cannot be written.
    """
    summaries = {config: figures.summary() for config, figures in statistics.items()}
    for config, summary in summaries.items():
        print(statistics_table(config, summary), end="\n\n")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(summaries, indent=2) + "\n"
    (folder / "anchors.json").write_text(text, encoding="utf-8")
    legend = {Path(config).stem: figures for config, figures in statistics.items()}
    plot_statistics(legend, folder / "anchors.png")
    print(f"In {folder}/: anchors.png, anchors.json")


def statistics_table(name: str, summary: dict[str, Any]) -> str:
    """Figures of one config as a text."""
    rows = [{"size": "all", **summary["all"]}, *summary["by_size"]]
    count_names = summary["all"]["shares_by_count"]
    lines = [
        f"{name}: {summary['images']:,} images, anchor sizes "
        + " ".join(f"{size:g}" for size in summary["anchor_sizes"]),
        f"{'face size':<10}{'faces':>9}{'anchors':>9}"
        + "".join(f"{name:>7}" for name in count_names)
        + f"{'near':>7}",
    ]
    for row in rows:
        if row["faces"]:
            shares = [*row["shares_by_count"].values(), row["share_near"]]
            lines.append(
                f"{row['size']:<10}{row['faces']:>9,}{row['mean_anchors']:>9.2f}"
                + "".join(f"{share:>7.1%}" for share in shares)
            )
    return "\n".join(lines)


def plot_statistics(statistics: dict[str, AnchorStatistics], path: Path) -> None:
    """Matched anchors per face, over its size, and distances to the nearest anchor size.

    Args:
        statistics: legend entry -> figures.
        path: of the picture; its ending is the format.
    """
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    histogram, by_size, distance = figure.subplots(1, 3)
    for name, figures in statistics.items():
        summary = figures.summary()
        label = f"{name}: mean {figures.counts.mean():.2f}"
        histogram.hist(
            figures.counts,
            bins=np.arange(-0.5, 21),
            weights=np.full(len(figures.counts), 1 / len(figures.counts)),
            histtype="step",
            label=label,
        )
        rows = [row for row in summary["by_size"] if row["faces"]]
        means = [row["mean_anchors"] for row in rows]
        by_size.plot([row["size"] for row in rows], means, marker="o", label=name)
        near = summary["all"]["share_near"]
        distance.hist(
            figures.octaves_to_anchor,
            bins=np.linspace(-3, 1, 65),
            histtype="step",
            label=f"{name}: near {near:.0%}",
        )
    histogram.set(xlabel="matched anchors", ylabel="share of the faces", xlim=(-0.5, 20.5))
    histogram.yaxis.set_major_formatter(PercentFormatter(1))
    by_size.set(xlabel="size of the face in pixels", ylabel="matched anchors, mean")
    by_size.tick_params(axis="x", labelrotation=30)
    distance.set(xlabel="octaves from the nearest anchor size", ylabel="faces")
    distance.axvspan(-np.log2(NEAR_FACTOR), np.log2(NEAR_FACTOR), color="0.9", zorder=0)
    for axes in (histogram, by_size, distance):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=90)
