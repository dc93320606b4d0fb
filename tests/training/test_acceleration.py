"""Switches of training: what they leave as it is, and which are refused."""

from __future__ import annotations

import copy

import pytest
import torch
from detectron2.modeling import build_model

from df2s2_d2.modeling.backbone.timm_network import TimmNetwork
from df2s2_d2.training.acceleration import accelerate, check_switches, use_channels_last
from df2s2_d2.training.frozen_norms import fold_frozen_norms
from tests.tiny_detectors import tiny_config
from tests.training.single_steps import (
    DSFD,
    PAL,
    VGG,
    assert_close_gradients,
    assert_same_weights,
    detector,
    gradients,
    images,
    make_step,
    plain_gradients,
    weights,
)

SWITCHES = {
    "nothing": (PAL, []),
    "channels last": (PAL, ["SOLVER.CHANNELS_LAST", True]),
    "recomputed": (PAL, ["SOLVER.ACTIVATION_CHECKPOINTING", True]),
    "recomputed DSFD": (DSFD, ["SOLVER.ACTIVATION_CHECKPOINTING", True]),
    "recomputed VGG16": (VGG, ["SOLVER.ACTIVATION_CHECKPOINTING", True, "MODEL.VGG.WIDTH", 4]),
    "accumulated": (PAL, ["SOLVER.ACCUMULATE", 2, "SOLVER.IMS_PER_BATCH", 2]),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_switches_change_neither_losses_nor_gradients(name):
    config_file, overrides = SWITCHES[name]
    cfg = tiny_config(config_file, *overrides)
    batch = images()
    expected_losses, expected = plain_gradients(cfg, batch)
    model = detector(cfg)
    before = weights(model)
    if cfg.SOLVER.CHANNELS_LAST:
        use_channels_last(model)
    accelerate(model, cfg)
    assert_same_weights(model, before)
    losses = make_step(model, cfg)._compute_gradients(batch)
    for term, loss in expected_losses.items():
        assert losses[term].item() == pytest.approx(loss.item(), rel=1e-4), term
    assert_close_gradients(gradients(model), expected)


def test_channels_last_reaches_every_map():
    model = detector(tiny_config())
    use_channels_last(model)
    maps = model.backbone(model.preprocess_image(images()).tensor)
    for name in ("c2", "c5", "p2", "p5", "p7"):
        assert maps[name].is_contiguous(memory_format=torch.channels_last), name


def test_compiled_training_is_the_same_and_tests_are_not_compiled():
    cfg = tiny_config("DF2S2/small/Base-R18.yaml", "MODEL.RESNETS.RES2_OUT_CHANNELS", 64)
    cfg.SOLVER.AMP.ENABLED = False
    cfg.SOLVER.COMPILE = "eager"  # the backend that takes least time to compile
    expected_losses, expected = plain_gradients(cfg, images())
    model = detector(cfg)
    accelerate(model, cfg)
    counters = torch._dynamo.utils.counters
    counters.clear()
    with torch.compiler.set_stance("force_eager"), torch.no_grad():
        assert len(model.eval()(images(1))[0]["instances"])
    assert not counters["stats"]
    losses = make_step(model.train(), cfg)._compute_gradients(images())
    assert counters["stats"]["unique_graphs"] >= 2
    for term, loss in expected_losses.items():
        assert losses[term].item() == pytest.approx(loss.item(), rel=1e-4), term
    assert_close_gradients(gradients(model), expected)


def test_frozen_norms_are_followed_wherever_their_statistics_go():
    """Weights that are loaded later bring statistics of their own."""
    cfg = tiny_config()
    model, plain = detector(cfg), detector(cfg)
    accelerate(model, cfg)
    other = detector(cfg, seed=1).state_dict()
    model.load_state_dict(other)
    plain.load_state_dict(other)
    for one in (model, plain):
        sum(one(images()).values()).backward()
    assert_close_gradients(gradients(model), gradients(plain))


@pytest.mark.parametrize("name", ["lcnet_050", "efficientnet_lite0"])
def test_frozen_norms_of_timm_are_folded_and_trained(name):
    pytest.importorskip("timm")
    torch.manual_seed(0)
    plain = TimmNetwork(name=name, strides=[8, 16, 32], in_channels=3, freeze_norm=True).double()
    for norm in plain.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.weight, 0.5, 2)
            torch.nn.init.normal_(norm.bias)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2)
            torch.nn.init.normal_(norm.running_mean)
    folded = copy.deepcopy(plain)
    fold_frozen_norms(folded)
    norms = [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and all("forward" in vars(norm) for norm in norms)
    maps = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    for network in (plain, folded):
        sum(x.square().sum() for x in network(maps).values()).backward()
    assert_close_gradients(gradients(folded), gradients(plain), 1e-8)
    # Without gradients they are norms again.
    with torch.no_grad():
        for one, other in zip(folded(maps).values(), plain(maps).values(), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    "config_file, key",
    [
        (PAL, "MODEL.SHOT.HEAD.NORM"),
        (PAL, "MODEL.FFP.NORM"),
        (PAL, "MODEL.RESNETS.NORM"),
        (DSFD, "MODEL.BOTTOM_UP.CONV_LEVELS_NORM"),
        (VGG, "MODEL.VGG.NORM"),
    ],
)
def test_synchronised_norms_are_plain_ones_in_a_run_of_one_process(config_file, key):
    plain = detector(tiny_config(config_file, key, "BN", "MODEL.VGG.WIDTH", 4))
    synchronised = build_model(tiny_config(config_file, key, "SyncBN", "MODEL.VGG.WIDTH", 4))
    synchronised.load_state_dict(plain.state_dict())
    assert any(isinstance(m, torch.nn.SyncBatchNorm) for m in synchronised.modules())
    losses = [
        {name: loss.item() for name, loss in model(images()).items()}
        for model in (plain, synchronised)
    ]
    assert losses[0] == pytest.approx(losses[1])


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["SOLVER.AMP.PRECISION", "half"], "SOLVER.AMP.PRECISION must be .*float16.*'half'"),
        (["SOLVER.EMA.DECAY", 1.0], "SOLVER.EMA.DECAY must be .* below 1, found 1.0"),
        (["SOLVER.COMPILE", "fast"], "SOLVER.COMPILE must be .*'inductor', found 'fast'"),
        (
            ["SOLVER.COMPILE", "inductor", "SOLVER.ACTIVATION_CHECKPOINTING", True],
            "SOLVER.COMPILE and SOLVER.ACTIVATION_CHECKPOINTING exclude each other",
        ),
    ],
)
def test_switches_that_cannot_work_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        check_switches(tiny_config("DF2S2/DF2S2_R50.yaml", *overrides))
