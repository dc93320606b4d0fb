"""Work that never makes the host wait for the device.

Copies go to the device while the host goes on; and few of many entries are selected only where the
host knows them already.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without making the host wait.

    A GPU reads memory while the host goes on only if it is pinned.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


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
