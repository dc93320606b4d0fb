"""Loss of the segmentation branch (DF²S² §3.2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def mask_loss(logits: Tensor, mask: Tensor, participating: Tensor) -> Tensor:
    """Sum of the pixel-wise sigmoid cross entropy over the participating cells of a level.

    Args:
        logits: (N, 1, H, W).
        mask, participating: (N, H, W) bool.
    """
    return F.binary_cross_entropy_with_logits(
        logits[:, 0], mask.float(), weight=participating.float(), reduction="sum"
    )
