"""Figures of matplotlib as files and as pixels, without a display."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


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
