"""Losses and gradients that are not finite."""

from __future__ import annotations

import math

import pytest
import torch

from df2s2_d2.training.finite_check import FiniteCheck, read_batch
from df2s2_d2.training.optimizer import build_sgd
from df2s2_d2.training.step import TrainingStep
from tests.tiny_detectors import tiny_config
from tests.training.single_steps import (
    assert_same_weights,
    detector,
    images,
    make_step,
    take_steps,
    weights,
)


def broken(inputs: dict) -> dict:
    image = inputs["image"].float()
    image[0, 0, 0] = math.nan
    return inputs | {"image": image}


def test_a_loss_that_is_not_finite_ends_the_run_with_its_images(tmp_path):
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "OUTPUT_DIR", str(tmp_path))
    model = detector(cfg)
    good, bad = images(2), [images(1, first=2)[0], broken(images(1, first=3)[0])]
    step = make_step(model, cfg, [good, bad, good])
    with pytest.raises(FloatingPointError, match="iteration 1 the loss is .* 2.jpg, 3.jpg") as info:
        take_steps(step)
    assert str(tmp_path / "bad_batch_0000001.pth") in str(info.value)
    assert "\n" not in str(info.value)

    # The batch is all there: with the weights as they are it does it again.
    batch = read_batch(tmp_path / "bad_batch_0000001.pth")
    assert [inputs["file_name"] for inputs in batch] == ["2.jpg", "3.jpg"]
    assert torch.equal(batch[0]["instances"].gt_boxes.tensor, bad[0]["instances"].gt_boxes.tensor)
    assert not sum(model(batch).values()).isfinite()
    assert sum(model(batch[:1]).values()).isfinite()


def test_what_is_looked_at_late_does_no_harm_meanwhile(tmp_path):
    """As on a GPU, whose losses are read every now and then."""
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "SOLVER.WARMUP_ITERS", 0)
    batches = [images(1, first=index) for index in range(4)]
    batches[1] = [broken(batches[1][0])]
    model = detector(cfg)
    step = TrainingStep(
        model,
        batches,
        build_sgd(cfg, model),
        finite_check=FiniteCheck(torch.device("cpu"), 4, str(tmp_path)),
        check_periods=(4, 0),
        metric_period=4,
    )
    states = []
    model.register_forward_pre_hook(lambda *args: states.append(weights(model)))
    with pytest.raises(FloatingPointError, match="In iteration 1 .* images 1.jpg:"):
        take_steps(step)
    assert len(states) == 4 and not states[1]["head.head.face_logits.bias"].equal(
        states[0]["head.head.face_logits.bias"]
    )
    assert_same_weights(model, states[1])


def test_gradients_that_are_not_finite_end_the_run_too(tmp_path):
    cfg = tiny_config("DF2S2/DF2S2_R50.yaml", "OUTPUT_DIR", str(tmp_path))
    model = detector(cfg)
    model.shot.head.box_deltas.bias.register_hook(lambda gradient: gradient / 0)
    before = weights(model)
    with pytest.raises(FloatingPointError, match="iteration 0 the gradients are .* 0.jpg, 1.jpg"):
        take_steps(make_step(model, cfg, [images()]))
    assert_same_weights(model, before)
