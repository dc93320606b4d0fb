"""In what two configs differ, and what of it matters to trained weights."""

from __future__ import annotations

import pytest

from df2s2_d2 import load_config
from df2s2_d2.inference.config_changes import changed_meanings, config_changes

SMALL = "DF2S2/small/faces_small.yaml"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.BOTTOM_UP.LATERAL_NORM", "LN"),
        ("MODEL.BOTTOM_UP.CONV_LEVELS_NORM", "GN"),
        ("MODEL.BOTTOM_UP.NUM_POOLED_LEVELS", 1),
        ("MODEL.TIMM.NAME", "tf_efficientnet_lite0"),  # other padding, the same tensors
        ("MODEL.FPN.FUSE_TYPE", "avg"),
        ("MODEL.FFP.ACTIVATION", "sigmoid"),
        ("MODEL.NECK.NAME", "FPN"),
        ("MODEL.PIXEL_STD", [1.0, 1.0, 1.0]),
        ("MODEL.SHOT.ANCHORS.SCALE", 4.0),
    ],
)
def test_what_the_weights_compute_with_is_told(key, value):
    changes = changed_meanings(load_config(SMALL), load_config(SMALL, [key, value]))
    assert list(changes) == [key] and changes[key].endswith(f"-> {value}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.BOTTOM_UP.WEIGHTS", ""),
        ("MODEL.WEIGHTS", "faces-small"),
        ("MODEL.TIMM.FREEZE_NORM", False),
        ("SOLVER.BASE_LR", 0.5),
        ("TEST.AUG.ENABLED", False),
    ],
)
def test_what_is_for_training_and_tests_is_not(key, value):
    before, after = load_config(SMALL), load_config(SMALL, [key, value])
    assert list(config_changes(before, after)) == [key]
    assert changed_meanings(before, after) == {}
