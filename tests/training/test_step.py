"""One step of training: its parts and its precision."""

from __future__ import annotations

import pytest
import torch

from df2s2_d2.training.acceleration import accelerate
from tests.tiny_detectors import tiny_config
from tests.training.single_steps import (
    assert_same_weights,
    detector,
    gradients,
    images,
    make_step,
    plain_gradients,
    take_steps,
    weights,
)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_is_near_full_precision(precision):
    overrides = ["SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", precision]
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", *overrides)
    expected_losses, expected = plain_gradients(cfg, images())
    model = detector(cfg)
    accelerate(model, cfg)
    types = set()
    model.shot.head.face_logits.register_forward_hook(lambda *args: types.add(args[2].dtype))
    step = make_step(model, cfg)
    losses = step._compute_gradients(images())
    assert types == {getattr(torch, precision)}
    for term, loss in expected_losses.items():
        assert losses[term].item() == pytest.approx(loss.item(), rel=0.05), term
    assert step.scaler.is_enabled() == (precision == "float16")
    step.scaler.unscale_(step.optimizer)
    name = "head.head.face_logits.weight"
    difference = gradients(model)[name] - expected[name]
    assert difference.norm() < 0.05 * expected[name].norm()


def test_steps_beyond_the_range_of_float16_are_left_out():
    overrides = ["SOLVER.AMP.ENABLED", True, "SOLVER.AMP.PRECISION", "float16"]
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", *overrides, "SOLVER.WARMUP_ITERS", 0)
    model = detector(cfg)
    step = make_step(model, cfg, [images(), images()])
    step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = weights(model)
    take_steps(step, 0)
    assert_same_weights(model, before)
    assert step.scaler.get_scale() == 2.0**39
    momenta = [state["momentum_buffer"] for state in step.optimizer.state.values()]
    assert momenta and not any(momentum.any() for momentum in momenta)
    step.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    take_steps(step, 1)
    assert not torch.equal(model.shot.head.face_logits.bias, before["head.head.face_logits.bias"])
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_run_may_go_on_in_another_precision():
    half = tiny_config("DF2S2/DF2S2_R50.yaml", "SOLVER.AMP.ENABLED", True)
    half.SOLVER.AMP.PRECISION = "float16"
    steps = [make_step(detector(cfg), cfg) for cfg in (half, tiny_config())]
    for step in steps:
        step.iter = 7
    steps[0].scaler.scale(torch.ones(()))
    steps[0].scaler.update(2.0**5)
    assert "grad_scaler" not in steps[1].state_dict()
    steps[1].load_state_dict(steps[0].state_dict())
    steps[0].load_state_dict(steps[1].state_dict())
    assert steps[0].scaler.get_scale() == 2.0**5
    again = make_step(detector(half), half)
    again.load_state_dict(steps[0].state_dict())
    assert again.scaler.get_scale() == 2.0**5 and again.iter == 7


@pytest.mark.parametrize("parts", [0, 3, 64])
def test_a_batch_has_whole_parts(parts):
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "SOLVER.ACCUMULATE", parts)
    with pytest.raises(ValueError, match="SOLVER.ACCUMULATE must divide the 32 images"):
        make_step(torch.nn.Linear(2, 2), cfg)
