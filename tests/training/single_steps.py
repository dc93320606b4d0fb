"""Small detectors, single steps of their training, and what these change."""

from __future__ import annotations

import torch
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from df2s2_d2.training.optimizer import build_sgd
from df2s2_d2.training.step import TrainingStep, build_step
from tests.modeling import scenes
from tests.tiny_detectors import calibrate

PAL = "DF2S2/DF2S2_R50_PAL.yaml"
DSFD = "DSFD/DSFD_R50.yaml"
VGG = "DSFD/DSFD_VGG16.yaml"
FACES = [[20, 30, 60, 80], [70, 10, 76, 18]]


def images(count: int = 2, first: int = 0) -> list[dict]:
    """With the same faces in each, so that parts of a batch are normalised alike."""
    return [
        scenes.mapped_image((128, 128), FACES, seed=seed) | {"file_name": f"{seed}.jpg"}
        for seed in range(first, first + count)
    ]


def detector(cfg, seed: int = 0):
    torch.manual_seed(seed)
    model = build_model(cfg)
    calibrate(model, [inputs["image"] for inputs in images(2)])
    return model.train()


def make_step(model, cfg, batches=(), average=None) -> TrainingStep:
    return build_step(cfg, model, list(batches), build_sgd(cfg, model), average)


def take_steps(step: TrainingStep, *iterations: int) -> None:
    """All that there are batches for, or those that are named."""
    with EventStorage(0):
        for iteration in iterations or range(len(step.data_loader)):
            step.iter = iteration
            step.run_step()


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_weights(model, expected: dict[str, torch.Tensor]) -> None:
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def plain_gradients(cfg, batch) -> tuple[dict, dict]:
    """Of a model that nothing was done to, computed by itself."""
    model = detector(cfg)
    losses = model(batch)
    sum(losses.values()).backward()
    return losses, gradients(model)


def assert_close_gradients(found: dict, expected: dict, tolerance: float = 1e-3) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = max(gradient.abs().max().item(), 1e-6)
        torch.testing.assert_close(
            found[name], gradient, rtol=0, atol=tolerance * scale, msg=lambda m, n=name: f"{n}: {m}"
        )
