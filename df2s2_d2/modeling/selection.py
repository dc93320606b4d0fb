"""Working on few of many entries where that costs no wait, and on all of them elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor


def can_select(device: torch.device) -> bool:
    """Whether the host knows how many entries of a mask are on without waiting for the device.

    On a CPU it does. A GPU would have to finish all its work first, and compiled code needs shapes
    that follow from shapes; both are quick at computing what is thrown away.
    """
    return device.type == "cpu" and not torch.compiler.is_compiling()


def entries_to_visit(mask: Tensor) -> Tensor:
    """Flat indices (V,) int64 that hold all entries of a mask that are on: on a CPU just those.

    The caller makes sure by the mask that the others have no effect.
    """
    if can_select(mask.device):
        return mask.flatten().nonzero()[:, 0]
    return torch.arange(mask.numel(), device=mask.device)
