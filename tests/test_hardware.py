"""The choice between float32 and bfloat16."""

from __future__ import annotations

import pytest
import torch

from df2s2_d2 import hardware


@pytest.mark.parametrize(("speedup", "is_fast"), [(2.0, True), (1.0, False), (0.5, False)])
def test_bfloat16_is_fast_if_its_products_are(monkeypatch, speedup, is_fast):
    seconds = {torch.float32: 1.0, torch.bfloat16: 1 / speedup}
    monkeypatch.setattr(hardware, "_seconds_of_products", lambda *dtypes: seconds)
    hardware._cpu_multiplies_bfloat16_fast.cache_clear()
    try:
        assert hardware.multiplies_bfloat16_fast(torch.device("cpu")) is is_fast
    finally:
        hardware._cpu_multiplies_bfloat16_fast.cache_clear()
