"""What the machine is good at."""

from __future__ import annotations

import logging
import math
import time
from functools import cache

import torch


def usable_device(name: str) -> str:
    """The device of this name, or the CPU, which is logged, if it is a GPU and there is none."""
    if torch.device(name).type == "cuda" and not torch.cuda.is_available():
        logging.getLogger(__name__).warning("There is no GPU for device %r: using the CPU", name)
        return "cpu"
    return name


def multiplies_bfloat16_fast(device: torch.device) -> bool:
    """Whether a device multiplies matrices faster in bfloat16 than in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return _cpu_multiplies_bfloat16_fast()


@cache
def _cpu_multiplies_bfloat16_fast() -> bool:
    # Tried, because instructions tell nothing: with the same AVX-512 instructions for bfloat16 one
    # maker's processors are twice as fast as in float32 and another's half as fast.
    seconds = _seconds_of_products(torch.float32, torch.bfloat16)
    return seconds[torch.float32] > 1.25 * seconds[torch.bfloat16]


def _seconds_of_products(*dtypes: torch.dtype) -> dict[torch.dtype, float]:
    """Of two matrices of some millions of bytes, on the CPU; the fastest of twenty of each type.

    The types take turns, so that other work on the processor meets all of them.
    """
    seconds = dict.fromkeys(dtypes, math.inf)
    matrices = {
        dtype: (torch.ones(512, 2048, dtype=dtype), torch.ones(2048, 256, dtype=dtype))
        for dtype in dtypes
    }
    for _ in range(20):
        for dtype, (left, right) in matrices.items():
            started = time.perf_counter()
            left @ right
            seconds[dtype] = min(seconds[dtype], time.perf_counter() - started)
    return seconds
