"""What a share of a training's cost is made of."""

from __future__ import annotations

import math

import pytest

from df2s2_d2 import load_config
from df2s2_d2.tables.scale import Scale

DF2S2, WHOLE_IMAGES = "DF2S2/DF2S2_R50.yaml", "DF2S2/ablations/Seg_R50.yaml"
DSFD = "DSFD/DSFD_R50.yaml"


def scaled(scale: Scale, config: str = DF2S2, *overrides, processes: int = 1):
    keys = scale.overrides(load_config(config, overrides), processes)
    pairs = [part for pair in keys.items() for part in pair]
    return load_config(config, [*overrides, *pairs])


def cost(cfg) -> float:
    side = cfg.INPUT.RESIZE_SQUARE_TRAIN or cfg.INPUT.MIN_SIZE_TRAIN[0]
    return cfg.SOLVER.MAX_ITER * cfg.SOLVER.IMS_PER_BATCH * side**2


def test_the_whole_is_the_config_itself():
    assert Scale().overrides(load_config(DF2S2)) == {}


def test_a_hundredth_as_it_is_worked_out_by_hand():
    cfg = scaled(Scale(0.01))
    # 0.01^(1/6) = 0.464, in twentieths 0.45; 32 x 0.01^(1/3) = 6.89.
    assert cfg.INPUT.RESIZE_SQUARE_TRAIN == 288
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.SOLVER.IMS_PER_BATCH) == (360, 7)
    assert cfg.SOLVER.BASE_LR == pytest.approx(0.004 * 7 / 32)
    # 48,300 x 0.01 / (7 / 32 x 0.45^2)
    assert cfg.SOLVER.MAX_ITER == 10904
    assert cfg.SOLVER.STEPS == (7269, 9087)  # 80 and 100 of 120 epochs
    assert cfg.SOLVER.WARMUP_ITERS == 226
    assert cfg.SOLVER.REFERENCE_WORLD_SIZE == 0


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 1e-3, 1e-4])
@pytest.mark.parametrize("config", [DF2S2, WHOLE_IMAGES, DSFD])
def test_the_cost_is_that_share_however_it_is_rounded(share, config):
    cfg, whole = scaled(Scale(share), config), load_config(config)
    assert cost(cfg) / cost(whole) == pytest.approx(share, rel=0.02)
    assert list(cfg.SOLVER.STEPS) == sorted(set(cfg.SOLVER.STEPS)) and len(cfg.SOLVER.STEPS) == 2
    assert cfg.MODEL == whole.MODEL
    assert (cfg.SOLVER.WEIGHT_DECAY, cfg.SOLVER.MOMENTUM) == (
        whole.SOLVER.WEIGHT_DECAY,
        whole.SOLVER.MOMENTUM,
    )


@pytest.mark.parametrize("share", [0.3, 0.01, 1e-5])
def test_all_rows_of_a_table_have_one_budget_and_one_test(share):
    cropped, whole = scaled(Scale(share)), scaled(Scale(share), WHOLE_IMAGES)
    assert cropped.SOLVER == whole.SOLVER
    assert cropped.TEST == whole.TEST
    assert cropped.INPUT.MIN_SIZE_TEST == whole.INPUT.MIN_SIZE_TEST == whole.INPUT.MIN_SIZE_TRAIN[0]


def test_factors_of_ones_own_leave_the_rest_to_the_steps():
    cfg = scaled(Scale(0.01, image=1, batch=0.5))
    assert (cfg.INPUT.RESIZE_SQUARE_TRAIN, cfg.SOLVER.IMS_PER_BATCH) == (640, 16)
    assert cfg.SOLVER.MAX_ITER == round(48300 * 0.01 / 0.5)


def test_processes_get_equal_shares_of_the_batch():
    assert scaled(Scale(0.01), processes=4).SOLVER.IMS_PER_BATCH == 8
    assert scaled(Scale(1e-6), processes=4).SOLVER.IMS_PER_BATCH == 4


def test_multi_scale_tests_shrink_with_the_images():
    cfg = scaled(Scale(0.01), DF2S2, "TEST.PROTOCOL", "df2s2-multi-scale")
    assert cfg.TEST.AUG.MIN_SIZES == (270, 360, 450, 540, 630)
    cfg = scaled(Scale(0.01), DSFD, "TEST.PROTOCOL", "dsfd-multi-scale")
    whole = load_config(DSFD).TEST.AUG.SCALES
    for entry, before in zip(cfg.TEST.AUG.SCALES, whole, strict=True):
        assert entry["FACTOR"] == pytest.approx(0.45 * before["FACTOR"])
        for limit in ("MIN_FACE", "MAX_FACE"):
            # In pixels of the original, which is in effect 0.45 times as large.
            assert entry.get(limit, math.nan) == pytest.approx(
                before.get(limit, math.nan) / 0.45, nan_ok=True
            )
        assert entry.get("FLIP") == before.get("FLIP")


def test_images_tested_as_they_are_stored_are_shrunk_too():
    aug = scaled(Scale(0.01), DSFD).TEST.AUG
    assert (aug.ENABLED, aug.SCALES, aug.MERGE) == (True, [{"FACTOR": 0.45}], "nms")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0,), "--scale is 0"),
        ((1.5,), "--scale is 1.5"),
        ((float("nan"),), "--scale is nan"),
        ((0.1, 2), "--image-scale is 2"),
        ((0.1, None, -1), "--batch-scale is -1"),
    ],
)
def test_shares_are_shares(numbers, message):
    with pytest.raises(ValueError, match=f"{message}: give more than 0 and at most 1"):
        Scale(*numbers)
