"""How the boxes of labels and those of a detector overlap."""

from __future__ import annotations

import numpy as np
import torch
from detectron2.structures import Boxes, pairwise_ioa, pairwise_iou
from torchvision.ops import box_convert

# A detection that overlaps a labelled box by more is of that, or of a part or neighbour of it.
_MAX_IOU, _MAX_SHARE = 0.25, 0.5


def is_elsewhere(detections: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether detections are neither of labelled boxes nor of parts or neighbours of them.

    Args:
        detections: (n, 4 or more) x, y, width, height in pixels.
        boxes: (b, 4) x, y, width, height in pixels.

    Returns:
        (n,) bool.
    """
    found, labelled = as_boxes(detections), as_boxes(boxes)
    return (
        (highest(pairwise_iou(found, labelled), 1) <= _MAX_IOU)
        & (highest(pairwise_ioa(labelled, found), 0) <= _MAX_SHARE)
        & (highest(pairwise_ioa(found, labelled), 1) <= _MAX_SHARE)
    )


def highest(overlaps: torch.Tensor, dim: int) -> np.ndarray:
    """The highest overlap of each box with the others, 0 where there are none."""
    padding = [0, 1] if dim == 1 else [0, 0, 0, 1]
    return torch.nn.functional.pad(overlaps, padding).amax(dim).numpy()


def as_boxes(rows: np.ndarray) -> Boxes:
    """Boxes of (n, 4 or more) x, y, width, height."""
    return Boxes(box_convert(torch.from_numpy(rows[:, :4]), "xywh", "xyxy"))
