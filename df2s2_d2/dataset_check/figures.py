"""Distributions of faces and images, of one or several data sets."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from df2s2_d2.dataset_check.check import DatasetReport

_DPI = 100


def draw_distributions(reports: Mapping[str, DatasetReport]) -> bytes:
    """Sizes and shapes of faces, faces per image and sizes of images, a curve a data set.

    Args:
        reports: by the name in the legend.

    Returns:
        A PNG file.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    (sizes, ratios), (counts, images) = figure.subplots(2, 2)
    octaves = 2.0 ** np.arange(0, 11.01, 0.25)
    for number, (name, report) in enumerate(reports.items()):
        color = f"C{number}"
        statistics = report.statistics
        _steps(sizes, statistics.face_sizes, octaves, color, "-", f"{name}, as stored")
        if report.anchors is not None:
            seen = report.anchors.face_sizes
            _steps(sizes, seen, octaves, color, ":", f"{name}, as trained on")
        edges = 2.0 ** np.arange(-3, 3.01, 0.125)
        _steps(ratios, statistics.aspect_ratios, edges, color, "-", name)
        most = max(int(statistics.faces_per_image.max(initial=1)), 1)
        edges = np.unique(np.geomspace(1, most + 1, 30).astype(int)) - 0.5
        faces = statistics.faces_per_image
        _steps(counts, faces[faces > 0], np.append(edges, most + 0.5), color, "-", name)
        height, width = statistics.image_sizes.T
        images.plot(width, height, ".", color=color, alpha=0.35, markersize=3, label=name)
    sizes.set(xscale="log", xlabel="size of the face, √(width × height) in px")
    ratios.set(xscale="log", xlabel="height / width of the face")
    counts.set(xscale="log", xlabel="faces in an image that has any")
    images.set(xlabel="width of the image in px", ylabel="height in px", xlim=(0, None))
    images.set(ylim=(0, None))
    for axes in (sizes, ratios, counts):
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylabel("share")
    sizes.set_xticks(2 ** np.arange(0, 12, 2))
    ratios.set_xticks([0.125, 0.25, 0.5, 1, 2, 4, 8])
    for axes in (sizes, ratios, counts, images):
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=_DPI, format="png")
    return buffer.getvalue()


def _steps(axes, values: np.ndarray, edges: np.ndarray, color: str, style: str, label: str) -> None:
    if len(values) == 0:
        return
    # What lies beyond the axis counts in its last bins.
    found, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    axes.stairs(found / len(values), edges, color=color, linestyle=style, label=label)
