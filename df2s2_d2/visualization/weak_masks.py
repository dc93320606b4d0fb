"""Weak masks drawn on images."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from df2s2_d2.visualization.face_boxes import FACE_COLOR


def draw_weak_masks(
    image: np.ndarray, boxes: np.ndarray, levels: dict[str, tuple[np.ndarray, np.ndarray | None]]
) -> Figure:
    """A panel per level: its weak mask over the image and, if given, the predicted one beneath.

    Args:
        image: (H, W, 3) uint8 RGB, as the network sees it.
        boxes: (M, 4) faces, XYXY in pixels.
        levels: name -> mask (h, w) bool and predicted probabilities (h, w) or None; their cells
            cover the image from its top-left corner.
    """
    height, width = image.shape[:2]
    rows = 1 + any(predicted is not None for _, predicted in levels.values())
    figure = Figure(figsize=(2.6 * len(levels), 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, len(levels), squeeze=False)
    for column, (name, masks) in enumerate(levels.items()):
        for row, mask in enumerate(masks[:rows]):
            axes = panels[row, column]
            axes.imshow(image)
            extent = (0, width, height, 0)
            axes.imshow(mask, cmap="magma", alpha=0.6, vmin=0, vmax=1, extent=extent)
            axes.set(xticks=[], yticks=[], title=f"{name} {'predicted' if row else 'target'}")
            for x1, y1, x2, y2 in boxes:
                axes.plot(
                    [x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=FACE_COLOR, linewidth=0.6
                )
    return figure
