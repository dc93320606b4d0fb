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
