"""The weights that a training begins with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from df2s2_d2.training import Trainer
from tests.training.short_runs import load, run, same_weights

# As torchvision's, whose weights are read.
RESNET18 = {
    "MODEL__RESNETS__DEPTH": 18,
    "MODEL__RESNETS__STEM_OUT_CHANNELS": 64,
    "MODEL__RESNETS__RES2_OUT_CHANNELS": 64,
    "MODEL__RESNETS__WIDTH_PER_GROUP": 64,
}


@pytest.fixture
def pretrained(tmp_path) -> Path:
    """A ResNet-18 as torchvision saves it."""
    path = tmp_path / "resnet18.pth"
    torch.manual_seed(7)
    torch.save(resnet18().state_dict(), path)
    return path


def test_pretrained_weights_come_in_before_training(config, pretrained):
    trainer = Trainer(config(**RESNET18, MODEL__BOTTOM_UP__WEIGHTS=str(pretrained)))
    trainer.resume_or_load(resume=False)
    expected = torch.load(pretrained, weights_only=True)
    network = trainer.model.backbone.bottom_up.network
    assert torch.equal(network.stem.conv1.weight, expected["conv1.weight"])
    assert torch.equal(network.res5[1].conv2.weight, expected["layer4.1.conv2.weight"])


def test_pretrained_weights_do_not_come_in_again_on_resume(config, pretrained, tmp_path):
    cfg = config(**RESNET18, MODEL__BOTTOM_UP__WEIGHTS=str(pretrained))
    run(cfg)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=True)
    weight = trainer.model.backbone.bottom_up.network.res5[1].conv2.weight
    trained = load(tmp_path / "model_final.pth")["model"]
    assert torch.equal(weight, trained["backbone.bottom_up.network.res5.1.conv2.weight"])
    original = torch.load(pretrained, weights_only=True)["layer4.1.conv2.weight"]
    assert not torch.equal(weight, original)


def test_model_weights_go_over_pretrained_ones(config, pretrained, tmp_path):
    run(config(**RESNET18, OUTPUT_DIR=str(tmp_path / "earlier")))
    trained = tmp_path / "earlier/model_final.pth"
    weights = {"MODEL__BOTTOM_UP__WEIGHTS": str(pretrained), "MODEL__WEIGHTS": str(trained)}
    trainer = Trainer(config(**RESNET18, **weights))
    trainer.resume_or_load(resume=False)
    assert same_weights({"model": trainer.model.state_dict()}, load(trained))
    assert trainer.start_iter == 0
