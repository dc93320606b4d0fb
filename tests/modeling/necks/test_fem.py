"""Feature enhance module against a slow re-computation, and its comparison partners."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec

from df2s2_d2 import load_config
from df2s2_d2.modeling.necks import FEM, Identity, build_neck
from df2s2_d2.modeling.necks.context_branches import (
    ReleasedBranches,
    SingleBranches,
    StackedBranches,
    split_channels,
)

WIDTHS = {"c2": 4, "c3": 5, "c4": 7}
SHAPES = {
    name: ShapeSpec(channels=width, stride=2 ** int(name[1:])) for name, width in WIDTHS.items()
}
SIZES = {"c2": (8, 12), "c3": (4, 6), "c4": (2, 3)}
DSFD_WIDTHS = [256, 512, 1024, 2048, 512, 256]


def make_neck(**options) -> FEM:
    torch.manual_seed(0)
    neck = FEM(input_shape=SHAPES, **options)
    for parameter in neck.parameters():  # biases are 0 at first, which would hide them
        torch.nn.init.normal_(parameter, std=0.3)
    return neck.double()


def bottom_up_maps() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(2, WIDTHS[name], *size, generator=generator, dtype=torch.float64)
        for name, size in SIZES.items()
    }


def slow_conv(x: np.ndarray, conv: torch.nn.Conv2d, dilation: int = 1) -> np.ndarray:
    """(C, H, W) to (D, H, W), tap by tap, with zeros around the map."""
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    reach = dilation * (weight.shape[-1] // 2)
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    result = np.zeros((len(weight), *x.shape[1:]))
    for row, column in np.ndindex(*x.shape[1:]):
        for i, j in np.ndindex(*weight.shape[2:]):
            tap = padded[:, row + i * dilation, column + j * dilation]
            result[:, row, column] += weight[:, :, i, j] @ tap
    return result + bias[:, None, None]


def slow_upsample(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear: each cell takes from the four cells around its centre's place."""
    result = np.zeros((len(x), *size))
    for cell in np.ndindex(*size):
        place = [(c + 0.5) * n / m - 0.5 for c, n, m in zip(cell, x.shape[1:], size, strict=True)]
        for corner in np.ndindex(2, 2):
            weight, index = 1.0, []
            for at, up, n in zip(place, corner, x.shape[1:], strict=True):
                at = max(at, 0)
                low = int(at)
                weight *= at - low if up else 1 - (at - low)
                index.append(min(low + up, n - 1))
            result[:, cell[0], cell[1]] += weight * x[:, index[0], index[1]]
    return result


def slow_fem(neck: FEM, maps: dict[str, torch.Tensor], image: int, cascade=False, split=False):
    """The text of DSFD §3.2, level by level from the top."""
    outputs, upper = {}, None
    for level in reversed(range(3)):
        name = list(WIDTHS)[level]
        x = maps[name][image].numpy()
        fused = slow_conv(x, neck.fusions[level].current)
        if upper is not None:
            fused *= slow_upsample(slow_conv(upper, neck.fusions[level].upper), fused.shape[1:])
        fused = fused.clip(0)
        third = WIDTHS[name] // 3
        parts = np.split(fused, [third, 2 * third]) if split else [fused] * 3
        results = []
        for branch, y in zip(neck.branches[level].branches, parts, strict=True):
            for conv in branch:
                y = slow_conv(y, conv, dilation=3).clip(0)
            results.append(y)
        outputs[f"p{name[1:]}"] = np.concatenate(results)
        upper = fused if cascade else x
    return outputs


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize("split", [False, True])
def test_equals_a_slow_recomputation(cascade, split):
    neck, maps = make_neck(cascade=cascade, split_input=split), bottom_up_maps()
    with torch.no_grad():
        outputs = neck(maps)
    for image in range(2):
        for name, expected in slow_fem(neck, maps, image, cascade, split).items():
            assert expected.max() > 0.1
            np.testing.assert_allclose(outputs[name][image], expected, rtol=1e-9, atol=1e-9)


def reach(branch: torch.nn.Module, channels: int) -> int:
    """Cells along a row that one output cell depends on, found by its gradient."""
    for parameter in branch.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.ones(1, channels, 41, 41, requires_grad=True)
    branch(x)[0, 0, 20, 20].backward()
    columns = x.grad[0].sum(dim=(0, 1)).nonzero().flatten()
    return int(columns.max() - columns.min()) + 1


def test_receptive_fields_of_stacked_branches():
    branches = StackedBranches(6).branches
    assert [reach(branch, 6) for branch in branches] == [7, 13, 19]
    assert [len(branch) for branch in branches] == [1, 2, 3]
    assert all(conv.dilation == (3, 3) for branch in branches for conv in branch)


def test_receptive_fields_of_single_branches():
    assert [reach(branch, 6) for branch in SingleBranches(6).branches] == [3, 7, 11]


def test_receptive_fields_of_the_released_branches():
    module = ReleasedBranches(6)
    assert reach(module.near, 6) == 3
    assert reach(torch.nn.Sequential(module.far, module.far_near), 6) == 7
    assert reach(torch.nn.Sequential(module.far, module.far_far), 6) == 11


@pytest.mark.parametrize("channels", [256, 512, 1024, 2048, 7])
def test_thirds_add_up_and_the_last_takes_the_remainder(channels):
    widths = split_channels(channels, 3)
    assert sum(widths) == channels
    assert widths[0] == widths[1] == channels // 3 <= widths[2]


@pytest.mark.parametrize(
    ("overrides", "widths"),
    [
        ((), DSFD_WIDTHS),
        (("NECK.NAME", "Identity"), DSFD_WIDTHS),
        (("FEM.FUSION", "sum", "FEM.BRANCHES", "smoothing"), DSFD_WIDTHS),
        (("FEM.FUSION", "none", "FEM.BRANCHES", "single"), DSFD_WIDTHS),
        (("FEM.FUSION", "sum", "FEM.BRANCHES", "single"), DSFD_WIDTHS),
        (("FEM.BRANCHES", "released"), [512] * 6),
    ],
)
def test_names_and_widths_of_the_levels_of_dsfd(overrides, widths):
    keys = [f"MODEL.{key}" if i % 2 == 0 else key for i, key in enumerate(overrides)]
    base = ["MODEL.NECK.NAME", "FEM", "MODEL.NECK.IN_FEATURES", [f"c{k}" for k in range(2, 8)]]
    cfg = load_config(overrides=base + keys)
    shapes = {
        f"c{k}": ShapeSpec(channels=width, stride=2**k) for k, width in enumerate(DSFD_WIDTHS, 2)
    }
    with torch.device("meta"):
        neck = build_neck(cfg, shapes)
        maps = {
            name: torch.empty(1, shape.channels, 640 // shape.stride, 640 // shape.stride)
            for name, shape in shapes.items()
        }
        outputs = neck(maps)
    expected = {f"p{k}": (width, 2**k) for k, width in enumerate(widths, 2)}
    assert {n: (s.channels, s.stride) for n, s in neck.output_shape().items()} == expected
    sizes = {f"p{k}": (1, width, 640 >> k, 640 >> k) for k, width in enumerate(widths, 2)}
    assert {name: tuple(x.shape) for name, x in outputs.items()} == sizes


def changed_by(neck: FEM, name: str) -> list[str]:
    """Which outputs change with a bottom-up map."""
    maps = bottom_up_maps()
    with torch.no_grad():
        before, after = neck(maps), neck({**maps, name: maps[name] + 1})
    return [output for output in before if not torch.equal(before[output], after[output])]


def test_a_map_reaches_its_level_and_the_one_below():
    assert changed_by(make_neck(), "c4") == ["p3", "p4"]
    assert changed_by(make_neck(), "c2") == ["p2"]


def test_a_cascade_reaches_all_levels_below():
    assert changed_by(make_neck(cascade=True), "c4") == ["p2", "p3", "p4"]


def test_only_the_named_levels_are_fused():
    assert changed_by(make_neck(fused_features=("c2",)), "c4") == ["p4"]
    assert changed_by(make_neck(fused_features=("c2",)), "c3") == ["p2", "p3"]


def test_without_fusion_a_map_stays_on_its_level():
    assert changed_by(make_neck(fusion="none", branches="single"), "c4") == ["p4"]


def test_fusion_by_sum():
    neck, maps = make_neck(fusion="sum", branches="smoothing"), bottom_up_maps()
    with torch.no_grad():
        outputs = neck(maps)
    fusion, conv = neck.fusions[1], neck.branches[1].conv
    x = slow_conv(maps["c3"][0].numpy(), fusion.current)
    upper = slow_conv(maps["c4"][0].numpy(), fusion.upper)
    expected = slow_conv((x + slow_upsample(upper, (4, 6))).clip(0), conv).clip(0)
    np.testing.assert_allclose(outputs["p3"][0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "mean"}, "MODEL.FEM.FUSION must be one of"),
        ({"branches": "many"}, "MODEL.FEM.BRANCHES must be one of"),
        ({"fused_features": ("c4",)}, r"FUSED_FEATURES names \['c4'\]"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FEM(input_shape=SHAPES, **options)


def test_identity_gives_the_maps_back():
    neck, maps = Identity(load_config(), SHAPES), bottom_up_maps()
    outputs = neck(maps)
    assert list(outputs) == list(neck.output_shape()) == ["p2", "p3", "p4"]
    assert all(outputs[f"p{name[1:]}"] is x for name, x in maps.items())
    assert list(neck.parameters()) == []
