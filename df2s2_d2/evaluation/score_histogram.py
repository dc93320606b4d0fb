"""Histogram of scores: where hits end and false positives begin."""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np
from matplotlib.figure import Figure

from .wider_face.operating_point import OperatingPoint

_BINS = 50


def plot_score_histogram(
    point: OperatingPoint, path: str | os.PathLike | BinaryIO, operating_score: float | None = None
) -> None:
    """How many detections of each score find a face, find none, or lie on an ignored face.

    Args:
        point: verdicts on all detections, that is, with a score of ``-inf``.
        path: of the picture; its ending is the format, PNG for an open binary file.
        operating_score: marked by a line, unless None.
    """
    scores = point.detections[:, 4]
    edges = np.histogram_bin_edges(scores, _BINS)
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, chosen, color in (
        ("finds a face", point.is_hit, "#009e73"),
        ("false positive", point.is_false, "#d55e00"),
        ("not counted", ~point.is_hit & ~point.is_false, "0.6"),
    ):
        counts, _ = np.histogram(scores[chosen], edges)
        axes.stairs(counts, edges, label=f"{name}: {chosen.sum():,}", color=color, linewidth=1.6)
    if operating_score is not None:
        axes.axvline(operating_score, color="0.3", linestyle=":", linewidth=1)
    # Low scores outnumber high ones by orders of magnitude; empty bins stay drawable.
    axes.set(xlabel="score", ylabel="detections", yscale="symlog", ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=120)
