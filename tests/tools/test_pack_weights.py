"""Checkpoints cut down to what finding faces needs."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pack_weights
import pytest
import torch
from detectron2.modeling import build_model

from benchmarks.models import random_images
from df2s2_d2.inference.predictor import Predictor
from tests.small_runs import ROOT
from tests.tiny_detectors import tiny_config

CONFIG = ("DF2S2/DF2S2_R50.yaml", "INPUT.MIN_SIZE_TEST", 64, "MODEL.RESNETS.NORM", "BN")


@pytest.fixture
def run_script(monkeypatch, capsys):
    """``run_script(argument, ...)``: exit code, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pack_weights.py", *map(str, arguments)])
        code = 0
        try:
            pack_weights.main()
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def checkpoint(tmp_path):
    """As the Trainer writes one: weights with training-only parts, config and training state."""
    torch.manual_seed(0)
    cfg = tiny_config(*CONFIG)
    model = build_model(cfg).state_dict()
    path = tmp_path / "model_final.pth"
    torch.save({"model": model, "config": cfg.dump(), "optimizer": model, "iteration": 7}, path)
    return path


def test_a_predictor_finds_the_same_in_a_packed_checkpoint(run_script, checkpoint, tmp_path):
    target = tmp_path / "new" / "packed.pth"
    code, output, _ = run_script(checkpoint, target)
    assert code == 0 and hashlib.sha256(target.read_bytes()).hexdigest() in output
    content = torch.load(target, weights_only=True)
    assert content.keys() == {"model", "config"}
    assert not [name for name in content["model"] if "mask_logits" in name]
    floats = {x.dtype for x in content["model"].values() if x.is_floating_point()}
    assert floats == {torch.float16}

    # White noise would let the rounding of an untrained network grow from block to block.
    image = np.ascontiguousarray(random_images(1, (64, 96), seed=1)[0].permute(1, 2, 0))
    # All candidates, as rounding changes which of two equal ones suppresses the other.
    everything = ["MODEL.FACE_DETECTOR.SCORE_THRESH_TEST", 0.0]
    everything += ["MODEL.FACE_DETECTOR.NMS_THRESH_TEST", 1.0]
    found, expected = (
        Predictor(path, overrides=everything)(image) for path in (target, checkpoint)
    )
    assert len(found) > 100
    np.testing.assert_allclose(found.scores[:100], expected.scores[:100], rtol=0.02)


def test_full_precision_keeps_every_bit(checkpoint, tmp_path):
    target = tmp_path / "packed.pth"
    # As from a shell, where nothing else has imported the parts of a detector.
    command = [sys.executable, pack_weights.__file__, checkpoint, target, "--full-precision"]
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)
    original = torch.load(checkpoint, weights_only=True)["model"]
    packed = torch.load(target, weights_only=True)["model"]
    assert packed.keys() < original.keys()
    assert all(torch.equal(x, original[name]) for name, x in packed.items())


@pytest.mark.parametrize(
    ("change", "target", "message"),
    [
        ({"config": None}, "out.pth", "carries no config"),
        ({}, "out.pt", "out.pt: the checkpoint has to be called *.pth"),
        ({"infinite": True}, "out.pth", "holds values that float16 cannot hold"),
    ],
)
def test_what_cannot_be_packed_is_told_in_one_line(
    run_script, checkpoint, tmp_path, change, target, message
):
    content = torch.load(checkpoint, weights_only=True)
    if change.pop("infinite", False):
        content["model"]["backbone.neck.blocks.0.upsample.bias"][0] = 1e6
    torch.save({**content, **change}, checkpoint)
    code, _, error = run_script(checkpoint, tmp_path / target)
    assert code == 1 and message in error and error.count("\n") == 1
    assert not (tmp_path / target).exists()
