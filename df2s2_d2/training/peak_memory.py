"""The most memory that a training has held, beside its losses."""

from __future__ import annotations

import sys

import torch
from detectron2.engine import HookBase

_PERIOD = 20  # steps, as metrics.json has them


class PeakMemory(HookBase):
    """Records ``peak_memory_mb``, in MB of 10^6 bytes, as metrics.json has it.

    On a GPU what torch has held there, on the CPU what the process has had in memory; of the main
    process, since its start.
    """

    def after_step(self) -> None:
        step = self.trainer.iter + 1
        if step % _PERIOD and step != self.trainer.max_iter:
            return
        peak = _peak_mb(self.trainer.cfg.MODEL.DEVICE)
        if peak is not None:
            self.trainer.storage.put_scalar("peak_memory_mb", peak, smoothing_hint=False)


def _peak_mb(device: str) -> float | None:
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
