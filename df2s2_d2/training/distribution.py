"""A model whose processes average their gradients: torch's DistributedDataParallel."""

from __future__ import annotations

import inspect

from detectron2.config import CfgNode
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

# torch 2.14 has another name, and warns of the old one.
_SYNC_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)


def distribute(model: nn.Module, cfg: CfgNode) -> nn.Module:
    """The model as it trains in this process: itself in a run of one, else wrapped.

    Works on GPUs, one a process, and on CPUs with any number of processes.

    Args:
        model: on its device.
        cfg: of which SOLVER.DDP_STATIC_GRAPH is read.

    Raises:
        ValueError: if the model has a norm that does not work on its device.
    """
    if comm.get_world_size() == 1:
        return model
    device = next(model.parameters()).device
    if device.type == "cpu" and any(isinstance(m, nn.SyncBatchNorm) for m in model.modules()):
        raise ValueError(
            "A norm of the config is SyncBN, which torch computes on GPUs only: name it "
            "naiveSyncBN, or BN, to train on several CPU processes"
        )
    return DistributedDataParallel(
        model,
        device_ids=None if device.type == "cpu" else [device],
        gradient_as_bucket_view=True,
        static_graph=cfg.SOLVER.DDP_STATIC_GRAPH,
        # Every process has statistics of its own batches, as detectron2 leaves them too.
        **{_SYNC_BUFFERS: False},
    )
