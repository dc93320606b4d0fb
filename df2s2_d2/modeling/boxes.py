"""Small geometry of boxes that targets, detections and their export have in common."""

from __future__ import annotations

import torch
from torch import Tensor


def clip_boxes(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes (..., 4), XYXY in pixels, clipped to images of ``sizes`` (..., 2), height and width."""
    # A trace of to() would remember the device, and the traced detector run on no other.
    limits = torch.cat((sizes, sizes), dim=-1).flip(-1).type_as(boxes)  # width, height, twice
    return torch.minimum(boxes.clamp(min=0), limits)


def nonempty(boxes: Tensor) -> Tensor:
    """Which boxes (..., 4) are wider and higher than 0; (...,) bool."""
    return (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)


def round_outward(boxes: Tensor) -> Tensor:
    """Round the top left corner down and width and height up, to whole pixels (DSFD §3.5).

    Args:
        boxes: (..., 4), XYXY in pixels.
    """
    top_left, bottom_right = boxes.split(2, dim=-1)
    size = (bottom_right - top_left).ceil()
    top_left = top_left.floor()
    return torch.cat((top_left, top_left + size), dim=-1)
