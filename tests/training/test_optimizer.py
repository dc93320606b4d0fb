"""Fused steps of the optimizer."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from detectron2.solver.build import (
    build_optimizer,
    get_default_optimizer_params,
    maybe_add_gradient_clipping,
)

from df2s2_d2.training.optimizer import build_adamw, build_sgd, step_unless
from df2s2_d2.training.resume import adapt_optimizer_state, name_parameters
from tests.tiny_detectors import tiny_config
from tests.training.single_steps import assert_same_weights, weights


def build_plain_adamw(cfg, model):
    rate = cfg.SOLVER.BASE_LR
    groups = get_default_optimizer_params(
        model, base_lr=rate, bias_lr_factor=2.0, weight_decay_bias=0.0, weight_decay_norm=0.0
    )
    decay = cfg.SOLVER.WEIGHT_DECAY
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=decay, foreach=False)
    return maybe_add_gradient_clipping(cfg, optimizer)


@pytest.mark.parametrize("clip", ["", "value", "norm"])
@pytest.mark.parametrize(
    ("build", "build_plain"), [(build_sgd, build_optimizer), (build_adamw, build_plain_adamw)]
)
def test_fused_steps_are_those_of_detectron2_and_torch(build, build_plain, clip):
    cfg = tiny_config()
    if clip:
        clipping = cfg.SOLVER.CLIP_GRADIENTS
        clipping.ENABLED, clipping.CLIP_TYPE, clipping.CLIP_VALUE = True, clip, 0.05
    cfg.SOLVER.WEIGHT_DECAY_BIAS, cfg.SOLVER.BIAS_LR_FACTOR = 0.0, 2.0
    models = [torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)) for _ in "ab"]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [build(cfg, models[0]), build_plain(cfg, models[1])]
    inputs = torch.rand(5, 4)
    for _ in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            (model(inputs) ** 3).sum().backward()
        step_unless(optimizers[0], torch.tensor(False))
        optimizers[1].step()
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "build",
    [build_sgd, build_adamw, lambda cfg, model: torch.optim.SGD(model.parameters(), lr=0.1)],
    ids=["SGD", "AdamW", "not fused"],
)
def test_a_step_that_is_left_out_changes_nothing(build):
    model = torch.nn.Linear(4, 3)
    optimizer = build(tiny_config(), model)
    before = weights(model)
    model(torch.full((1, 4), math.inf)).sum().backward()
    step_unless(optimizer, torch.tensor(True))
    assert_same_weights(model, before)
    for state in optimizer.state.values():
        assert not any(moment.any() for moment in state.values())


def test_states_of_other_kernels_are_loaded_without_them():
    cfg, model = tiny_config(), torch.nn.Linear(4, 3)
    theirs = build_optimizer(cfg, model)
    model(torch.ones(1, 4)).sum().backward()
    theirs.step()
    own_model = copy.deepcopy(model)
    ours = build_sgd(cfg, own_model)
    name_parameters(ours, own_model)
    ours.load_state_dict(adapt_optimizer_state(ours, copy.deepcopy(theirs.state_dict())))
    assert all(group["fused"] and not group["foreach"] for group in ours.param_groups)
    momenta = [[s["momentum_buffer"] for s in o.state.values()] for o in (ours, theirs)]
    for one, other in zip(*momenta, strict=True):
        assert one.any() and torch.equal(one, other)


@pytest.mark.parametrize("build", [build_sgd, build_adamw])
@pytest.mark.parametrize("bias_factor", [1.0, 2.0])
def test_the_bottom_up_network_has_a_rate_of_its_own(build, bias_factor):
    cfg = tiny_config()
    cfg.SOLVER.BASE_LR, cfg.SOLVER.BOTTOM_UP_LR_FACTOR = 0.5, 0.25
    cfg.SOLVER.BIAS_LR_FACTOR, cfg.SOLVER.WEIGHT_DECAY_BIAS = bias_factor, 0.0
    model = torch.nn.ModuleDict({"backbone": torch.nn.ModuleDict(), "shot": torch.nn.Linear(2, 2)})
    # Weights of its own are for the network, not for what is added behind it.
    model["backbone"]["bottom_up"] = torch.nn.ModuleDict(
        {part: torch.nn.Linear(2, 2) for part in ("network", "laterals", "added_levels")}
    )
    model["backbone"]["neck"] = torch.nn.Linear(2, 2)
    optimizer = build(cfg, model)
    name_parameters(optimizer, model)
    groups = {name: group for group in optimizer.param_groups for name in group["param_names"]}
    assert {name: group["lr"] for name, group in groups.items()} == {
        "backbone.bottom_up.network.weight": 0.125,
        "backbone.bottom_up.network.bias": 0.125 * bias_factor,
        "backbone.bottom_up.laterals.weight": 0.5,
        "backbone.bottom_up.laterals.bias": 0.5 * bias_factor,
        "backbone.bottom_up.added_levels.weight": 0.5,
        "backbone.bottom_up.added_levels.bias": 0.5 * bias_factor,
        "backbone.neck.weight": 0.5,
        "backbone.neck.bias": 0.5 * bias_factor,
        "shot.weight": 0.5,
        "shot.bias": 0.5 * bias_factor,
    }
    assert all((group["weight_decay"] == 0) == ("bias" in name) for name, group in groups.items())
