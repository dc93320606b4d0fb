"""The shared tower and its predictors."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from detectron2.layers import ShapeSpec
from torch import nn

from df2s2_d2.modeling.heads import TowerHead

LEVELS = [f"p{level}" for level in range(2, 8)]
UNEQUAL = [3, 5, 7, 9, 9, 9]
EQUAL = [8] * 6
SOURCES = {"p6": "p5", "p7": "p5"}


def shapes(widths: list[int]) -> dict[str, ShapeSpec]:
    return {
        name: ShapeSpec(channels=width, stride=4 * 2**level)
        for level, (name, width) in enumerate(zip(LEVELS, widths, strict=True))
    }


def make_head(widths=UNEQUAL, sources=SOURCES, head=TowerHead, **options) -> nn.Module:
    torch.manual_seed(0)
    options = {"num_convs": 4, "conv_dim": 8, "norm": "", "entry": "project", **options}
    return head(input_shape=shapes(widths), sources=sources, num_anchors=6, **options)


def maps(widths=UNEQUAL) -> list[torch.Tensor]:
    return [torch.randn(2, width, 64 >> level, 32 >> level) for level, width in enumerate(widths)]


def count_calls(head: nn.Module, features: list[torch.Tensor]) -> tuple[Counter, list]:
    """How often each convolution runs in one forward pass, by its kernel, and the outputs."""
    calls = Counter()
    for name, module in head.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    outputs = head(features)
    return calls, outputs


def convolutions(head: nn.Module, kernel: int) -> list[nn.Conv2d]:
    return [
        module
        for module in head.modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (kernel, kernel)
    ]


def test_shapes_of_the_predictions():
    outputs = make_head()(maps())
    for level in range(6):
        size = (64 >> level, 32 >> level)
        assert outputs.logits[level].shape == (2, 6, *size)
        assert outputs.deltas[level].shape == (2, 24, *size)
        assert outputs.masks[level].shape == (2, 1, *size)


def test_one_tower_serves_all_levels_and_predictions():
    head = make_head()
    calls, _ = count_calls(head, maps())
    tower = {name: count for name, count in calls.items() if name.startswith("tower.convs")}
    predictors = {name: count for name, count in calls.items() if not name.startswith("tower")}
    assert list(tower.values()) == [6, 6, 6, 6]
    assert list(predictors.values()) == [6, 6, 6]
    assert len(convolutions(head, 3)) == 4 + 3


def test_the_predictors_read_the_tower_behind_its_last_relu():
    head = make_head().eval()
    seen = []
    for predictor in (head.face_logits, head.box_deltas):
        predictor.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(maps())
    for under_logits, under_deltas in zip(seen[:6], seen[6:], strict=True):
        assert under_logits is under_deltas
        assert (under_logits >= 0).all() and (under_logits == 0).any()


def test_a_level_is_convolved_as_the_modules_say():
    head = make_head().eval()
    features = maps()
    outputs = head(features)
    for level, source in enumerate(["p2", "p3", "p4", "p5", "p5", "p5"]):
        entry = head.tower.entries[source]
        x = nn.functional.conv2d(features[level], entry.weight, entry.bias)
        for conv in head.tower.convs:
            x = nn.functional.conv2d(x, conv.weight, conv.bias, padding=1).relu()
        predictor = head.face_logits
        logits = nn.functional.conv2d(x, predictor.weight, predictor.bias, padding=1)
        torch.testing.assert_close(outputs.logits[level], logits)


def test_pooled_levels_share_the_projection_of_their_source():
    head = make_head()
    projections = convolutions(head, 1)
    assert [conv.in_channels for conv in projections] == [3, 5, 7, 9]
    calls, _ = count_calls(head, maps())
    entries = {name: count for name, count in calls.items() if "entries" in name}
    assert sorted(entries.values()) == [1, 1, 1, 3]


def test_without_sources_every_level_has_its_own_projection():
    assert len(convolutions(make_head(sources={}), 1)) == 6


def test_unshared_entry_replaces_the_first_convolution_of_the_tower():
    head = make_head(entry="unshared")
    assert not convolutions(head, 1)
    calls, _ = count_calls(head, maps())
    entries = [count for name, count in calls.items() if "entries" in name]
    shared = [count for name, count in calls.items() if name.startswith("tower.convs")]
    assert sorted(entries) == [1, 1, 1, 3]
    assert shared == [6, 6, 6]
    assert [conv.in_channels for conv in head.tower.entries.values()] == [3, 5, 7, 9]


@pytest.mark.parametrize("entry", ["project", "unshared"])
def test_equal_widths_enter_the_tower_directly(entry):
    head = make_head(EQUAL, entry=entry)
    assert not convolutions(head, 1)
    calls, _ = count_calls(head, maps(EQUAL))
    assert [count for name, count in calls.items() if name.startswith("tower")] == [6] * 4


@pytest.mark.parametrize("prior_prob", [0.01, 0.2])
def test_every_anchor_starts_with_the_prior_probability(prior_prob):
    head = make_head(prior_prob=prior_prob)
    outputs = head([torch.zeros_like(x) for x in maps()])
    for logits, deltas in zip(outputs.logits, outputs.deltas, strict=True):
        torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, prior_prob))
        assert (deltas == 0).all()


def test_masks_are_predicted_in_training_only():
    head = make_head().eval()
    calls, outputs = count_calls(head, maps())
    assert outputs.masks is None
    assert "face_logits" in calls and "mask_logits" not in calls


def test_a_head_without_masks():
    head = make_head(predict_masks=False)
    assert head(maps()).masks is None
    assert not any("mask" in name for name in head.state_dict())


def test_a_norm_replaces_the_bias():
    head = make_head(norm="GN", conv_dim=32)
    assert all(conv.bias is None for conv in head.tower.convs)
    assert all(isinstance(conv.norm, nn.GroupNorm) for conv in head.tower.convs)
    assert head(maps()).logits[0].isfinite().all()


@pytest.mark.parametrize("option, message", [({"entry": "x"}, "ENTRY"), ({"num_convs": 0}, "NUM_")])
def test_unknown_options_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        make_head(**option)
