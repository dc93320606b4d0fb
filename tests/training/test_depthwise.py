"""Depthwise convolutions whose gradients are computed in float32."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from df2s2_d2.training.depthwise import use_float32_gradients


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
        nn.Conv2d(8, 16, 5, padding=4, dilation=2, groups=8, bias=False),
    )


def gradients(model: nn.Module, precision: torch.dtype | None) -> dict[str, torch.Tensor]:
    model.zero_grad()
    inputs = torch.rand(
        2, 3, 20, 24, generator=torch.Generator().manual_seed(1), requires_grad=True
    )
    with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
        outputs = model(inputs)
    assert outputs.dtype is (precision or torch.float32)
    outputs.float().square().mean().backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    return {**found, "inputs": inputs.grad}


def test_gradients_are_those_of_float32_up_to_the_rounding_of_maps():
    plain = network()
    model = copy.deepcopy(plain)
    use_float32_gradients(model)
    expected, found = gradients(plain, None), gradients(model, torch.bfloat16)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        assert found[name].dtype == torch.float32
        scale = gradient.abs().max().item()
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=0.05 * scale)


def test_without_autocast_and_without_gradients_nothing_changes():
    plain = network()
    model = copy.deepcopy(plain)
    use_float32_gradients(model)
    for name, gradient in gradients(plain, None).items():
        assert torch.equal(gradients(model, None)[name], gradient), name
    inputs = torch.rand(1, 3, 16, 16)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model(inputs), plain(inputs))


def test_gradients_of_convolutions_run_in_float32():
    """Where bfloat16 maps lose what float32 gradients keep: a sum of many small terms."""
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
    use_float32_gradients(conv)
    inputs = torch.ones(1, 4, 33, 33)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        conv(inputs).sum().backward()
    # 33 x 33 = 1089, which bfloat16 rounds to 1088.
    assert conv.weight.grad[:, 0, 1, 1].tolist() == [1089.0] * 4


@pytest.mark.parametrize("settings", [{"groups": 1}, {"groups": 2}, {"padding": "same"}])
def test_other_convolutions_are_left_alone(settings):
    conv = nn.Conv2d(4, 4, 3, **{"groups": 4, **settings})
    use_float32_gradients(conv)
    assert "_conv_forward" not in vars(conv)
