"""Mixed precision of a training step: the type of its products, by SOLVER.AMP."""

from __future__ import annotations

import logging

import torch
from detectron2.config import CfgNode

from df2s2_d2.hardware import multiplies_bfloat16_fast

_TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def check_precision(cfg: CfgNode) -> None:
    """Check SOLVER.AMP.PRECISION.

    Raises:
        ValueError: if it names no type.
    """
    name = cfg.SOLVER.AMP.PRECISION
    if name and name not in _TYPES:
        raise ValueError(
            f"SOLVER.AMP.PRECISION must be one of {', '.join(_TYPES)}, or '' for the device's own, "
            f"found {name!r}"
        )


def mixed_precision(cfg: CfgNode) -> torch.dtype | None:
    """The type that a step multiplies in, None for float32 throughout.

    SOLVER.AMP.PRECISION "" leaves the choice to the device: float16 on GPUs, bfloat16 on
    processors that are faster in it than in float32; on others it would only be slower.
    """
    check_precision(cfg)
    if not cfg.SOLVER.AMP.ENABLED:
        return None
    if cfg.SOLVER.AMP.PRECISION:
        return _TYPES[cfg.SOLVER.AMP.PRECISION]
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type != "cpu":
        return torch.float16
    if multiplies_bfloat16_fast(device):
        return torch.bfloat16
    logging.getLogger(__name__).warning(
        "This processor is not faster in bfloat16 than in float32: SOLVER.AMP.ENABLED is passed "
        "over"
    )
    return None
