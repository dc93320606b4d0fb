"""The same model in all processes of a run, each with its part of a batch."""

from __future__ import annotations

import torch
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def data_parallel(model: nn.Module, **options) -> nn.Module:
    """Average gradients over processes, on GPUs or on the CPU.

    Args:
        model: on the device where it trains.
        options: of ``DistributedDataParallel``.

    Returns:
        The model itself in the only process of a run.
    """
    if comm.get_world_size() == 1:
        return model
    on_gpu = next(model.parameters()).is_cuda
    # The current one: its number is not the process's where each process sees one GPU only.
    devices = [torch.cuda.current_device()] if on_gpu else None
    # Norm layers average over their own process (or over all, if synchronized): nothing to send.
    return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False, **options)
