"""detectron2's FPN in the place of a neck."""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import ShapeSpec

from df2s2_d2.modeling.necks import FPN, build_neck

SHAPES = {f"c{level}": ShapeSpec(channels=3 * level, stride=2**level) for level in range(2, 6)}


@pytest.fixture
def neck(tiny_config) -> FPN:
    torch.manual_seed(0)
    return build_neck(tiny_config("DF2S2/ablations/RetinaNet_R50.yaml"), SHAPES)


def bottom_up_maps() -> dict[str, torch.Tensor]:
    return {
        name: torch.randn(2, shape.channels, 128 // shape.stride, 256 // shape.stride)
        for name, shape in SHAPES.items()
    }


def test_six_levels_of_one_width(neck):
    assert isinstance(neck, FPN)
    outputs, shapes = neck(bottom_up_maps()), neck.output_shape()
    assert list(outputs) == list(shapes) == ["p2", "p3", "p4", "p5", "p6", "p7"]
    for level, (name, x) in enumerate(outputs.items(), start=2):
        assert shapes[name].stride == 2**level
        assert shapes[name].channels == 16
        assert x.shape == (2, 16, 128 >> level, 256 >> level)


def test_upper_maps_reach_the_lower_ones(neck):
    maps = bottom_up_maps()
    before = neck(maps)
    after = neck({**maps, "c5": maps["c5"] + 1})
    assert all(not torch.allclose(before[name], after[name]) for name in before)
    after = neck({**maps, "c2": maps["c2"] + 1})
    changed = [name for name in before if not torch.allclose(before[name], after[name])]
    assert changed == ["p2"]


def test_two_convolved_levels_start_from_the_topmost_bottom_up_map(neck):
    maps = bottom_up_maps()
    outputs = neck(maps)
    block = neck.fpn.top_block
    p6 = torch.nn.functional.conv2d(maps["c5"], block.p6.weight, block.p6.bias, 2, 1)
    p7 = torch.nn.functional.conv2d(p6.relu(), block.p7.weight, block.p7.bias, 2, 1)
    torch.testing.assert_close(outputs["p6"], p6)
    torch.testing.assert_close(outputs["p7"], p7)


def test_no_level_is_a_resampled_one(neck):
    assert neck.sources == {}
