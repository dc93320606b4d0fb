"""Contact sheets: the images with most errors, annotated faces and detections drawn in them."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import matplotlib.patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .benchmark_images import read_benchmark_image
from .wider_face.ground_truth import GroundTruth
from .wider_face.operating_point import OperatingPoint

# What is annotated is drawn solid, what is detected dashed. The hues differ for the colour-blind.
_STYLES = {
    "ignored face": {"color": "#d0d0d0", "linewidth": 0.8, "linestyle": "-"},
    "detection on an ignored face": {"color": "#d0d0d0", "linewidth": 0.8, "linestyle": "--"},
    "found face": {"color": "#00e08a", "linewidth": 1.1, "linestyle": "-"},
    "its detection": {"color": "#00e08a", "linewidth": 0.9, "linestyle": "--"},
    "missed face": {"color": "#ff5a1f", "linewidth": 1.3, "linestyle": "-"},
    "false positive": {"color": "#ffe600", "linewidth": 1.3, "linestyle": "--"},
}
KINDS = ("missed face", "false positive")

_COLUMNS = 3
_DPI = 110
# Pixels of a panel, and the least size in them of half of the errors that it is about.
_PANEL_WIDTH, _PANEL_HEIGHT = 400, 300
_LEAST_SIZE = 16
_MOST_ENLARGED = 3
# Windows that are tried for a panel; the cost grows with their product with the errors.
_MAX_WINDOWS = 500


def rank_images(counts: np.ndarray, num_images: int) -> np.ndarray:
    """Positions of the images with the highest counts, highest first, none with a count of 0.

    Args:
        counts: (I,) errors in each image.
        num_images: most positions to return.
    """
    order = np.argsort(-counts, kind="stable")[:num_images]
    return order[counts[order] > 0]


def draw_contact_sheet(
    path: str | os.PathLike | BinaryIO,
    image_dir: str | os.PathLike,
    ground_truth: GroundTruth,
    point: OperatingPoint,
    image_numbers: Sequence[int] | np.ndarray,
    kind: str = "missed face",
) -> None:
    """Draw a panel an image, showing the part of it where most errors lie large enough to be seen.

    Args:
        path: file, or open binary file, for the PNG.
        image_dir: folder of ``<event>/<image>.jpg`` (or .jpeg, .png).
        ground_truth: annotated faces.
        point: verdicts on detections for this ground truth.
        image_numbers: at least one position in ``ground_truth.images``.
        kind: the errors that panels are centred on, one of ``KINDS``.

    Raises:
        FileNotFoundError: if an image is missing.
        ValueError: if an image cannot be read, or there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, found {kind!r}")
    rows = math.ceil(len(image_numbers) / _COLUMNS)
    figure = Figure(
        figsize=(_COLUMNS * (_PANEL_WIDTH + 16) / _DPI, (rows * (_PANEL_HEIGHT + 52) + 36) / _DPI),
        layout="constrained",
    )
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in panels[len(image_numbers) :]:
        axes.set_axis_off()
    for axes, number in zip(panels, image_numbers, strict=False):
        boxes = _boxes_of_image(ground_truth, point, number)
        image = read_benchmark_image(image_dir, ground_truth.images[number])
        window = choose_window(boxes[kind], image.shape[1], image.shape[0])
        _draw_panel(axes, image, boxes, window)
        lines = [
            *textwrap.wrap(ground_truth.images[number], 64),
            f"{len(boxes['found face'])} found, {len(boxes['missed face'])} missed, "
            f"{len(boxes['false positive'])} false positives",
            f"shown: {window[2] - window[0]}×{window[3] - window[1]} of "
            f"{image.shape[1]}×{image.shape[0]} px",
        ]
        axes.set_xlabel("\n".join(lines), fontsize=7, labelpad=3, parse_math=False)
    figure.legend(
        handles=[Line2D([], [], label=name, **style) for name, style in _STYLES.items()],
        loc="outside upper center",
        ncols=len(_STYLES),
        fontsize=7.5,
        facecolor="#555555",
        labelcolor="white",
    )
    figure.savefig(path, dpi=_DPI, format="png")


def _boxes_of_image(
    ground_truth: GroundTruth, point: OperatingPoint, number: int
) -> dict[str, np.ndarray]:
    """Name in `_STYLES` -> (n, 4) x, y, width, height."""
    faces = ground_truth.image_index == number
    kept = ground_truth.kept[point.setting]
    detections = point.image_index == number
    neither = ~point.is_hit & ~point.is_false
    return {
        "ignored face": ground_truth.boxes[faces & ~kept],
        "detection on an ignored face": point.detections[detections & neither, :4],
        "found face": ground_truth.boxes[faces & kept & point.found],
        "its detection": point.detections[detections & point.is_hit, :4],
        "missed face": ground_truth.boxes[faces & point.missed],
        "false positive": point.detections[detections & point.is_false, :4],
    }


def _draw_panel(
    axes: Axes,
    image: np.ndarray,
    boxes: Mapping[str, np.ndarray],
    window: tuple[int, int, int, int],
) -> None:
    x1, y1, x2, y2 = window
    # Edges of pixels, not their centres, have whole coordinates.
    axes.imshow(image[y1:y2, x1:x2], extent=(x1, x2, y2, y1), interpolation="bicubic")
    halo = [matplotlib.patheffects.withStroke(linewidth=2.4, foreground="#00000090")]
    for name, style in _STYLES.items():
        outlines = PolyCollection(
            _outlines(boxes[name]),
            facecolors="none",
            edgecolors=style["color"],
            linewidths=style["linewidth"],
            linestyles=style["linestyle"],
            path_effects=halo,
        )
        axes.add_collection(outlines, autolim=False)
    # Panels are of one size; a window of another shape leaves a margin in its panel.
    shape = np.array([_PANEL_WIDTH, _PANEL_HEIGHT])
    margin = (shape * np.max([x2 - x1, y2 - y1] / shape) - [x2 - x1, y2 - y1]) / 2
    axes.set(
        xlim=(x1 - margin[0], x2 + margin[0]),
        ylim=(y2 + margin[1], y1 - margin[1]),
        xticks=[],
        yticks=[],
        facecolor="0.85",
    )


def _outlines(boxes: np.ndarray) -> np.ndarray:
    """(n, 4) x, y, width, height -> (n, 4, 2) corners."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    return boxes[:, None, :2] + boxes[:, None, 2:] * corners


def choose_window(boxes: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """Choose the part of an image that holds most boxes, with half of them large enough to be seen.

    Args:
        boxes: (n, 4) ``x, y, width, height`` in pixels of the image.
        width: of the image.
        height: of the image.

    Returns:
        ``x1, y1, x2, y2`` in whole pixels, within the image; all of it if no boxes are given.
    """
    if len(boxes) == 0:
        return 0, 0, width, height
    sizes = np.sqrt(np.maximum(boxes[:, 2:], 1).prod(axis=1))
    # Pixels of the image in one of the panel.
    reduction = max(np.median(sizes) / _LEAST_SIZE, 1 / _MOST_ENLARGED)
    image = np.array([width, height])
    extent = np.minimum(np.ceil(np.array([_PANEL_WIDTH, _PANEL_HEIGHT]) * reduction), image)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    tried = centres[:: math.ceil(len(centres) / _MAX_WINDOWS)]
    corners = np.clip(np.round(tried - extent / 2), 0, image - extent)
    inside = (centres >= corners[:, None]) & (centres <= corners[:, None] + extent)
    x1, y1 = corners[inside.all(axis=2).sum(axis=1).argmax()]
    return int(x1), int(y1), int(x1 + extent[0]), int(y1 + extent[1])
