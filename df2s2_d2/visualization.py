"""Faces and weak masks drawn on images, with detectron2's visualizer."""

from __future__ import annotations

import numpy as np
from detectron2.structures import Instances
from detectron2.utils.visualizer import Visualizer
from matplotlib.figure import Figure

FACE_COLOR = (0.1, 1.0, 0.2)
MISSED_COLOR = (1.0, 0.2, 0.1)


def draw_detections(
    image: np.ndarray, detections: Instances, faces: np.ndarray | None = None
) -> np.ndarray:
    """Draw each detection with its confidence as opacity, as DF²S² figure 1 does.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: with ``pred_boxes`` in pixels of the image and ``scores``.
        faces: (M, 4) annotated faces, XYXY, drawn dotted beneath the detections.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    visualizer = Visualizer(image)
    for box in [] if faces is None else faces:
        visualizer.draw_box(box, alpha=0.9, edge_color=MISSED_COLOR, line_style=":")
    boxes = detections.pred_boxes.tensor.cpu().numpy()
    for box, score in zip(boxes, detections.scores.tolist(), strict=True):
        visualizer.draw_box(box, alpha=score, edge_color=FACE_COLOR)
    return visualizer.get_output().get_image()


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
