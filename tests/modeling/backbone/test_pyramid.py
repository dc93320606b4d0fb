"""Bottom-up network and neck as one backbone."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling import build_backbone

CONFIGS = ["DF2S2/DF2S2_R50.yaml", "DF2S2/DF2S2_R50_PAL.yaml", "DF2S2/ablations/RetinaNet_R50.yaml"]


@pytest.mark.parametrize("config_file", CONFIGS)
def test_output_shape_is_that_of_the_outputs(tiny_config, config_file):
    backbone = build_backbone(tiny_config(config_file)).eval()
    with torch.no_grad():
        outputs = backbone(torch.rand(1, 3, 128, 256))
    shapes = backbone.output_shape()
    assert outputs.keys() == shapes.keys()
    for name, x in outputs.items():
        stride = shapes[name].stride
        assert stride == 2 ** int(name[1:])
        assert x.shape == (1, shapes[name].channels, 128 // stride, 256 // stride)
    assert backbone.size_divisibility == 32


@pytest.mark.parametrize("config_file", CONFIGS)
def test_levels_above_the_neck_end_within_a_cell(tiny_config, config_file):
    """Images are not padded for their sake."""
    backbone = build_backbone(tiny_config(config_file)).eval()
    with torch.no_grad():
        outputs = backbone(torch.rand(1, 3, 160, 224))
    for name, x in outputs.items():
        stride = 2 ** int(name[1:])
        assert x.shape[-2:] == (-(-160 // stride), -(-224 // stride)), name


def test_what_is_left_at_the_edge_of_a_map_is_pooled_too(tiny_config):
    backbone = build_backbone(tiny_config("DF2S2/DF2S2_R50_PAL.yaml")).eval()
    with torch.no_grad():
        outputs = backbone(torch.rand(1, 3, 160, 224))
    for side in "cp":
        fine, coarse = outputs[f"{side}5"], outputs[f"{side}6"]  # 5 x 7 cells, 3 x 4 cells
        assert torch.equal(coarse[0, :, 2, 3], fine[0, :, 4, 6])
        assert torch.equal(coarse[0, :, 0, 3], fine[0, :, :2, 6].amax(dim=1))


def test_maps_that_are_fused_with_one_another_align(tiny_config):
    assert build_backbone(tiny_config("DSFD/DSFD_R50.yaml")).size_divisibility == 128


def test_pooled_bottom_up_levels(tiny_config):
    backbone = build_backbone(tiny_config("DF2S2/DF2S2_R50_PAL.yaml")).eval()
    with torch.no_grad():
        outputs = backbone(torch.rand(1, 3, 128, 128))
    c5 = outputs["c5"]  # 4 x 4
    assert torch.equal(outputs["c6"], c5.reshape(1, -1, 2, 2, 2, 2).amax(dim=(3, 5)))
    assert torch.equal(outputs["c7"], c5.amax(dim=(2, 3), keepdim=True))
    assert backbone.sources == {"c6": "c5", "c7": "c5", "p6": "p5", "p7": "p5"}


def test_the_neck_reads_the_bottom_up_maps(tiny_config):
    backbone = build_backbone(tiny_config()).eval()
    with torch.no_grad():
        outputs = backbone(torch.rand(1, 3, 128, 128))
    assert outputs["p5"] is outputs["c5"]
    assert not torch.equal(outputs["p4"], outputs["c4"])


def test_maps_are_those_of_the_network(tiny_config):
    backbone = build_backbone(tiny_config()).eval()
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        outputs, expected = backbone(images), backbone.bottom_up.network(images)
    for level in range(2, 6):
        assert torch.equal(outputs[f"c{level}"], expected[f"res{level}"])


def test_laterals_rectify_the_maps_in_one_width(tiny_config):
    """Also those below added levels, and as large as a residual network's, whatever they were."""
    cfg = tiny_config(
        *("DSFD/DSFD_R50.yaml", "MODEL.BOTTOM_UP.LATERAL_CHANNELS", 64),
        *("MODEL.BOTTOM_UP.CONV_LEVELS", [[16, 32], [16, 24]]),
    )
    bottom_up = build_backbone(cfg).bottom_up.eval()
    images = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        small, large = bottom_up(images), bottom_up(100 * images)
        maps = list(bottom_up.network(images).values())
        conv = bottom_up.laterals[1]
        mixed = torch.einsum("oi,nihw->nohw", conv.weight[:, :, 0, 0], maps[1])
    expected = mixed.reshape(2, 32, -1)
    deviation = expected.var(dim=2, correction=0, keepdim=True).add(conv.norm.eps).sqrt()
    expected = (expected - expected.mean(dim=2, keepdim=True)) / deviation
    torch.testing.assert_close(small["c3"], expected.reshape(mixed.shape).relu())
    for level in range(2, 6):
        shape = bottom_up.output_shape()[f"c{level}"]
        assert (shape.channels, shape.stride) == (64, 2**level)
        for outputs in (small, large):
            assert outputs[f"c{level}"].shape[1] == 64 and outputs[f"c{level}"].min() == 0
            # Half of a normal distribution, or about that.
            assert 0.3 < outputs[f"c{level}"].square().mean() < 0.7
    assert [small[f"c{level}"].shape[1] for level in (6, 7)] == [32, 24]


def test_a_negative_width_of_laterals_is_refused(tiny_config):
    with pytest.raises(ValueError, match="MODEL.BOTTOM_UP.LATERAL_CHANNELS must be 0 or more"):
        build_backbone(tiny_config("DF2S2/DF2S2_R50.yaml", "MODEL.BOTTOM_UP.LATERAL_CHANNELS", -64))
