"""VGG16 as a bottom-up network."""

from __future__ import annotations

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY

from df2s2_d2.modeling.backbone import VGG16
from df2s2_d2.modeling.backbone.vgg import L2Norm


def vgg16(**kwargs) -> VGG16:
    defaults = {"in_channels": 3, "width": 4, "fc6_dilation": 3, "l2_norm_scales": [10.0, 8.0, 5.0]}
    torch.manual_seed(0)
    return VGG16(**{**defaults, "freeze_at": 0, **kwargs})


@pytest.fixture
def build(tiny_config):
    """``build(key, value, ...)``: the network that a config describes."""

    def build(*overrides) -> VGG16:
        cfg: CfgNode = tiny_config("DF2S2/DF2S2_R50.yaml", *overrides)
        return BACKBONE_REGISTRY.get("build_vgg16_backbone")(cfg, ShapeSpec(channels=3))

    return build


def test_the_default_config_is_the_network_of_the_paper(build):
    network = build()
    shapes = network.output_shape()
    assert {name: (shape.stride, shape.channels) for name, shape in shapes.items()} == {
        "conv3": (4, 256),
        "conv4": (8, 512),
        "conv5": (16, 512),
        "fc7": (32, 1024),
    }
    # 13 convolutions of VGG16, fc6, fc7 and the scales.
    fc = 512 * 1024 * 9 + 1024 + 1024 * 1024 + 1024
    assert sum(p.numel() for p in network.parameters()) == 14_714_688 + fc + 256 + 512 + 512
    assert network.fc6.dilation == network.fc6.padding == (3, 3)
    assert [norm.weight.unique().item() for norm in network.l2_norms.values()] == [10, 8, 5]


def test_maps_have_the_declared_shapes():
    network = vgg16().eval()
    with torch.no_grad():
        maps = network(torch.rand(2, 3, 96, 64))
    shapes = network.output_shape()
    assert list(maps) == list(shapes)
    for name, x in maps.items():
        stride = shapes[name].stride
        assert x.shape == (2, shapes[name].channels, 96 // stride, 64 // stride)
    assert network.size_divisibility == 32


def test_l2_norm_by_hand():
    norm = L2Norm(2, scale=10.0)
    x = torch.tensor([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]]).reshape(1, 2, 1, 3).requires_grad_()
    expected = torch.tensor([[6.0, 0.0, 10.0], [8.0, 0.0, 0.0]])
    torch.testing.assert_close(norm(x).reshape(2, 3), expected)
    with torch.no_grad():
        norm.weight[1] = 5.0
    y = norm(x)
    torch.testing.assert_close(y.reshape(2, 3), expected * torch.tensor([[1.0], [0.5]]))
    y.sum().backward()
    assert x.grad.isfinite().all()


def test_l2_norm_keeps_empty_cells_in_half_precision():
    norm = L2Norm(2, scale=10.0).half()
    assert torch.equal(norm(torch.zeros(1, 2, 1, 1).half()), torch.zeros(1, 2, 1, 1).half())


def test_l2_norm_is_for_the_maps_given_out_only():
    normed, plain = vgg16(), vgg16(l2_norm_scales=[])
    plain.load_state_dict(normed.state_dict(), strict=False)
    with torch.no_grad():
        for weight in (normed.l2_norms[name].weight for name in ("conv3", "conv4", "conv5")):
            weight.uniform_(1, 2)
        images = torch.rand(1, 3, 64, 64)
        given, flowing = normed(images), plain(images)
    for name in ("conv3", "conv4", "conv5"):
        length = flowing[name].square().sum(dim=1, keepdim=True).sqrt()
        scale = normed.l2_norms[name].weight.reshape(1, -1, 1, 1)
        torch.testing.assert_close(given[name], scale * flowing[name] / length)
    assert torch.equal(given["fc7"], flowing["fc7"])


@pytest.mark.parametrize("dilation", [1, 3])
def test_fc6_sees_nine_cells_its_dilation_apart(dilation):
    network = vgg16(fc6_dilation=dilation)
    torch.nn.init.ones_(network.fc6.weight)
    x = torch.ones(1, network.fc6.in_channels, 11, 11, requires_grad=True)
    y = network.fc6(x)
    assert y.shape[2:] == (11, 11)
    y[0, 0, 5, 5].backward()
    seen = x.grad[0, 0].nonzero().tolist()
    steps = (5 - dilation, 5, 5 + dilation)
    assert seen == [[row, column] for row in steps for column in steps]


def test_signals_keep_their_strength_in_an_untrained_network():
    torch.manual_seed(0)
    network = vgg16(width=16, l2_norm_scales=[])
    with torch.no_grad():
        maps = network(torch.randn(2, 3, 128, 128))
    assert all(0.05 < x.std() < 5 for x in maps.values())


@pytest.mark.parametrize("freeze_at", [0, 2, 5])
def test_every_parameter_behind_the_frozen_blocks_gets_a_gradient(freeze_at):
    network = vgg16(freeze_at=freeze_at)
    maps = network(torch.rand(1, 3, 64, 64))
    sum(x.sum() for x in maps.values()).backward()
    frozen = tuple(f"blocks.conv{block}." for block in range(1, freeze_at + 1))
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad == (not name.startswith(frozen)), name
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_config_keys_reach_the_network(build):
    network = build(
        *("MODEL.VGG.WIDTH", 8, "MODEL.VGG.FC6_DILATION", 1, "MODEL.VGG.L2_NORM_SCALES", [3, 2, 1]),
        *("MODEL.BACKBONE.FREEZE_AT", 1),
    )
    assert [shape.channels for shape in network.output_shape().values()] == [32, 64, 64, 128]
    assert network.fc6.dilation == (1, 1)
    assert network.l2_norms["conv5"].weight.eq(1).all()
    assert not network.blocks["conv1"][1].weight.requires_grad
    assert network.blocks["conv2"][0].weight.requires_grad


@pytest.mark.parametrize(
    ("key", "value"), [("MODEL.VGG.L2_NORM_SCALES", [10.0, 8.0]), ("MODEL.BACKBONE.FREEZE_AT", 6)]
)
def test_wrong_values_are_named_with_their_key(build, key, value):
    with pytest.raises(ValueError, match=key):
        build("MODEL.VGG.WIDTH", 8, key, value)


def test_levels_of_a_detector(tiny_config):
    """As a detector's bottom-up network its maps are c2 to c5."""
    cfg = tiny_config(
        "DF2S2/DF2S2_R50.yaml",
        *("MODEL.BOTTOM_UP.NAME", "build_vgg16_backbone", "MODEL.VGG.WIDTH", 8),
    )
    backbone = BACKBONE_REGISTRY.get(cfg.MODEL.BACKBONE.NAME)(cfg, ShapeSpec(channels=3))
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        maps, expected = backbone(images), backbone.bottom_up.network(images)
    for level, name in enumerate(("conv3", "conv4", "conv5", "fc7"), start=2):
        assert torch.equal(maps[f"c{level}"], expected[name])


def test_a_norm_stands_behind_every_convolution():
    convolutions = [m for m in vgg16(norm="BN").modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 15
    assert all(isinstance(c.norm, torch.nn.BatchNorm2d) and c.bias is None for c in convolutions)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in vgg16().modules())
