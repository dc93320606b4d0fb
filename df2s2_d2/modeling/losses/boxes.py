"""Box loss of both papers; it never waits for the device."""

from __future__ import annotations

import torch
from fvcore.nn import smooth_l1_loss
from torch import Tensor

from df2s2_d2.modeling.anchors import AnchorGrid
from df2s2_d2.modeling.host_sync import can_select


def box_loss(
    deltas: Tensor,
    anchors: Tensor,
    boxes: Tensor,
    positive: Tensor,
    code_weights: Tensor,
    beta: float,
) -> Tensor:
    """Smooth-L1 loss of each anchor's box code, summed over its four parts, 0 unless positive.

    Args:
        deltas: (..., 4) predicted box codes.
        anchors: (..., 4) XYXY in pixels, broadcastable to ``boxes``.
        boxes: (..., 4) the box that each positive anchor should become; any other rows.
        positive: (...) bool.
        code_weights: (4,), weights of dx, dy, dw and dh.
        beta: where the loss turns linear.
    """
    # Anchors without a face aim at themselves, which is finite, and weigh nothing.
    boxes = torch.where(positive[..., None], boxes, anchors)
    target = encode_boxes(anchors, boxes, code_weights)
    return smooth_l1_loss(deltas, target, beta=beta).sum(dim=-1) * positive


def level_box_loss(
    deltas: Tensor,
    grid: AnchorGrid,
    owners: Tensor,
    positive: Tensor,
    faces: Tensor,
    code_weights: Tensor,
    beta: float,
) -> Tensor:
    """Sum of :func:`box_loss` over the anchors of a level, computed for few of them on a CPU.

    Args:
        deltas: (N, 4 A, H, W) predicted box codes of the level.
        grid: the level.
        owners: (N, H W A) int64, rows of ``faces``.
        positive: (N, H W A) bool.
        faces: (F + 1, 4) XYXY in pixels, the last one anything finite.
        code_weights, beta: see :func:`box_loss`.
    """
    size = (len(deltas), grid.height, grid.width, len(grid.shapes))
    positive, owners = positive.view(size), owners.view(size)
    deltas = deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2)  # (N, H, W, A, 4)
    if can_select(deltas.device):
        places = positive.nonzero(as_tuple=True)
        anchors = grid.boxes_at(*places[1:])
        deltas, owners, positive = deltas[places], owners[places], positive[places]
    else:
        anchors = grid.boxes().view(*size[1:], 4)
    losses = box_loss(deltas.float(), anchors, faces[owners], positive, code_weights, beta)
    return losses.sum()


def encode_boxes(anchors: Tensor, boxes: Tensor, weights: Tensor) -> Tensor:
    """The code that ``Box2BoxTransform.apply_deltas`` turns back into ``boxes``.

    Box2BoxTransform.get_deltas gives the same numbers, but checks its input on the host, which
    makes a GPU wait in every step.

    Args:
        anchors, boxes: XYXY in pixels, broadcastable to (..., 4), with positive sides.
        weights: (4,), of dx, dy, dw and dh.
    """
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    size = boxes[..., 2:] - boxes[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - anchors[..., :2] - anchors[..., 2:]) / 2
    code = torch.cat((shift / anchor_size, torch.log(size / anchor_size)), dim=-1)
    return code * weights
