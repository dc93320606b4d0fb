"""Feature fusion pyramid: eq. 1, pooled levels, widths and initial values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from fvcore.nn import weight_init
from torch import nn

from df2s2_d2.modeling.necks import FFP, build_neck
from df2s2_d2.modeling.necks.ffp import FBlock, xavier_fill_transposed

CHANNELS = {"c2": 3, "c3": 4, "c4": 5, "c5": 6}


def input_shape(**strides: int) -> dict[str, ShapeSpec]:
    strides = strides or {"c2": 4, "c3": 8, "c4": 16, "c5": 32}
    return {name: ShapeSpec(channels=CHANNELS[name], stride=s) for name, s in strides.items()}


def bottom_up_maps(size: int = 128) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(2, shape.channels, *(size // shape.stride,) * 2, generator=generator)
        for name, shape in input_shape().items()
    }


def transposed_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Stride 2, twice the size: every input pixel adds its kernel around its 2 x 2 outputs."""
    (_, height, width), (_, out_channels, kernel, _) = x.shape, weight.shape
    padding = kernel // 2 - 1
    result = np.zeros((out_channels, 2 * height + 2 * padding, 2 * width + 2 * padding))
    for row in range(height):
        for column in range(width):
            patch = np.einsum("i,iokl->okl", x[:, row, column], weight)
            result[:, 2 * row : 2 * row + kernel, 2 * column : 2 * column + kernel] += patch
    return result[:, padding:, padding:][:, : 2 * height, : 2 * width] + bias[:, None, None]


@pytest.mark.parametrize("kernel_size", [2, 4])
def test_maps_are_fused_from_top_to_bottom_by_equation_1(kernel_size):
    torch.manual_seed(0)
    neck = FFP(input_shape=input_shape(), kernel_size=kernel_size, num_pooled_levels=0)
    for block in neck.blocks:
        nn.init.normal_(block.upsample.bias)
    maps = bottom_up_maps(64)
    with torch.no_grad():
        outputs = neck(maps)
    for image in range(2):
        fused = maps["c5"][image].double().numpy()
        for level in (4, 3, 2):
            psi = neck.blocks[level - 2].upsample
            attention = transposed_convolution(
                fused, psi.weight.detach().double().numpy(), psi.bias.detach().double().numpy()
            )
            lower = maps[f"c{level}"][image].double().numpy()
            fused = lower * attention + lower
            np.testing.assert_allclose(outputs[f"p{level}"][image], fused, rtol=1e-3, atol=1e-4)


def test_the_topmost_map_is_taken_as_it_is():
    maps = bottom_up_maps()
    assert FFP(input_shape=input_shape())(maps)["p5"] is maps["c5"]


def test_a_block_on_numbers_worked_out_by_hand():
    block = FBlock(in_channels=1, out_channels=1, kernel_size=2, norm="", activation="")
    with torch.no_grad():
        block.upsample.weight.copy_(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        block.upsample.bias.fill_(0.5)
    fused = block(torch.tensor([[[[1.0, -1.0], [2.0, 10.0]]]]), torch.tensor([[[[2.0]]]]))
    # Ψ = 2 · kernel + 0.5 = [[2.5, 4.5], [6.5, 8.5]]; φ (Ψ + 1)
    assert fused.tolist() == [[[[3.5, -5.5], [15.0, 95.0]]]]


@pytest.mark.parametrize("activation, value", [("relu", 0.0), ("sigmoid", 1 / (1 + np.e**3))])
def test_an_activation_stands_behind_the_transposed_convolution(activation, value):
    block = FBlock(1, 1, 2, norm="", activation=activation)
    nn.init.constant_(block.upsample.weight, -3.0)
    fused = block(torch.full((1, 1, 2, 2), 2.0), torch.ones(1, 1, 1, 1))
    np.testing.assert_allclose(fused.detach(), np.full((1, 1, 2, 2), 2 * value + 2), rtol=1e-5)


@pytest.mark.parametrize("kernel", [2, 1])
def test_upper_levels_are_pooled_in_succession(kernel):
    outputs = FFP(input_shape=input_shape(), pool_kernel_size=kernel)(bottom_up_maps())
    p5 = outputs["p5"].numpy()  # 4 x 4
    if kernel == 1:
        p6, p7 = p5[..., ::2, ::2], p5[..., :1, :1]
    else:
        p6 = p5.reshape(2, 6, 2, 2, 2, 2).max(axis=(3, 5))
        p7 = p5.max(axis=(2, 3), keepdims=True)
    np.testing.assert_array_equal(outputs["p6"], p6)
    np.testing.assert_array_equal(outputs["p7"], p7)


@pytest.mark.parametrize("options", [{}, {"out_channels": 8}, {"kernel_size": 4}])
@pytest.mark.parametrize("num_pooled_levels", [0, 2])
def test_output_shape_is_that_of_the_outputs(options, num_pooled_levels):
    neck = FFP(input_shape=input_shape(), num_pooled_levels=num_pooled_levels, **options)
    outputs, shapes = neck(bottom_up_maps(128)), neck.output_shape()
    assert list(outputs) == list(shapes) == [f"p{k}" for k in range(2, 6 + num_pooled_levels)]
    for name, x in outputs.items():
        shape = shapes[name]
        assert shape.stride == 2 ** int(name[1:])
        assert x.shape == (2, shape.channels, 128 // shape.stride, 128 // shape.stride)


def test_widths_follow_the_bottom_up_maps_or_the_option():
    shapes = FFP(input_shape=input_shape()).output_shape()
    assert [shape.channels for shape in shapes.values()] == [3, 4, 5, 6, 6, 6]
    neck = FFP(input_shape=input_shape(), out_channels=256)
    assert [shape.channels for shape in neck.output_shape().values()] == [256] * 6
    # Fusion happens in the paper's widths; the projections come behind it.
    assert [block.upsample.in_channels for block in neck.blocks] == [4, 5, 6]


def test_pooled_levels_name_the_map_they_are_made_of():
    assert FFP(input_shape=input_shape()).sources == {"p6": "p5", "p7": "p5"}


def gain(fill: Callable[[nn.ConvTranspose2d], None], kernel_size: int) -> float:
    """Variance of a transposed convolution's outputs over the second moment of its inputs."""
    torch.manual_seed(0)
    module = nn.ConvTranspose2d(256, 128, kernel_size, stride=2, padding=kernel_size // 2 - 1)
    nn.init.zeros_(module.bias)
    fill(module)
    inputs = 3 * torch.randn(4, 256, 12, 12)
    with torch.no_grad():
        outputs = module(inputs)[..., 2:-2, 2:-2]
    return (outputs.var() / inputs.square().mean()).item()


@pytest.mark.parametrize("kernel_size", [2, 4])
def test_initial_values_keep_the_variance(kernel_size):
    assert gain(xavier_fill_transposed, kernel_size) == pytest.approx(1, rel=0.05)
    # What the usual initialisers make of the swapped dimensions, for comparison.
    assert gain(lambda m: nn.init.xavier_uniform_(m.weight), kernel_size) < 0.4
    assert gain(weight_init.c2_xavier_fill, kernel_size) < 0.6


@pytest.mark.parametrize("kernel_size", [2, 4])
def test_blocks_start_with_these_values(kernel_size):
    torch.manual_seed(0)
    upsample = FBlock(256, 128, kernel_size, norm="", activation="").upsample
    fresh = nn.ConvTranspose2d(256, 128, kernel_size, stride=2)
    xavier_fill_transposed(fresh)
    assert upsample.weight.std().item() == pytest.approx(fresh.weight.std().item(), rel=0.02)
    assert not upsample.bias.any()


@pytest.mark.parametrize("strides", [{"c2": 4, "c3": 8, "c5": 32}, {"c2": 4, "c3": 12}])
def test_strides_that_do_not_double_are_refused(strides):
    with pytest.raises(ValueError, match="double.*NECK.IN_FEATURES"):
        FFP(input_shape=input_shape(**strides))


@pytest.mark.parametrize(
    "option, message",
    [
        ({"kernel_size": 3}, "KERNEL_SIZE"),
        ({"activation": "tanh"}, "ACTIVATION"),
        ({"pool_kernel_size": 3}, "POOL_KERNEL_SIZE"),
    ],
)
def test_unknown_options_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        FFP(input_shape=input_shape(), **option)


def test_a_neck_on_maps_that_do_not_exist_is_refused(tiny_config):
    shapes = input_shape()
    del shapes["c4"]
    with pytest.raises(ValueError, match=r"IN_FEATURES names \['c4'\]"):
        build_neck(tiny_config(), shapes)


def test_config_keys_reach_the_neck(tiny_config):
    cfg = tiny_config(
        "DF2S2/DF2S2_R50.yaml",
        *("MODEL.FFP.OUT_CHANNELS", 16, "MODEL.FFP.KERNEL_SIZE", 4, "MODEL.FFP.NORM", "BN"),
        *("MODEL.FFP.ACTIVATION", "sigmoid", "MODEL.FFP.NUM_POOLED_LEVELS", 1),
        *("MODEL.FFP.POOL_KERNEL_SIZE", 1),
    )
    neck = build_neck(cfg, input_shape())
    assert {shape.channels for shape in neck.output_shape().values()} == {16}
    assert list(neck.output_shape())[-1] == "p6"
    block = neck.blocks[0]
    assert block.upsample.kernel_size == (4, 4)
    assert isinstance(block.norm, nn.BatchNorm2d)
    assert isinstance(block.activation, nn.Sigmoid)
    maps = bottom_up_maps()
    p5 = neck.projections[-1](maps["c5"])
    torch.testing.assert_close(neck(maps)["p6"], F.max_pool2d(p5, 1, stride=2))
