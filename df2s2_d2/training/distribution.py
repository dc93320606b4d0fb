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


class IdleParametersError(ValueError):
    """Several processes train a model of which a part is idle."""


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


def check_all_used(model: nn.Module) -> None:
    """Check, behind the first gradients, that all parameters have got some.

    Processes that average gradients wait for all of them; torch's own message, which comes with the
    next step, tells neither the parameters nor a remedy.

    Args:
        model: of :func:`distribute`.

    Raises:
        IdleParametersError: if several processes train a model of which a part is idle.
    """
    if not isinstance(model, DistributedDataParallel) or model.static_graph:
        return
    parameters = [(name, p) for name, p in model.module.named_parameters() if p.requires_grad]
    idle = [name for name, parameter in parameters if parameter.grad is None]
    if idle:
        raise IdleParametersError(
            f"{len(idle)} parameters of the model, the first {idle[0]!r}, have no part in its "
            "losses, which several processes cannot train: let the network and the neck make no "
            "maps that nothing reads (MODEL.RESNETS.OUT_FEATURES, MODEL.TIMM.STRIDES, "
            "MODEL.BOTTOM_UP.CONV_LEVELS, MODEL.NECK.IN_FEATURES), or set SOLVER.DDP_STATIC_GRAPH "
            "True"
        )
