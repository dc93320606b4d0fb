"""Checkpoints made into files to be passed on."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from safetensors import safe_open

from benchmarks.models import random_images
from df2s2_d2.inference.export import ExportedDetector, difference
from df2s2_d2.inference.predictor import Predictor
from df2s2_d2.inference.publishing import publish
from df2s2_d2.inference.trained_weights import read_checkpoint
from df2s2_d2.models.index import read_index
from tests.tiny_detectors import tiny_config

CONFIG = ("DF2S2/DF2S2_R50.yaml", "INPUT.MIN_SIZE_TEST", 64, "MODEL.RESNETS.NORM", "BN")
# All candidates, as rounding changes which of two equal ones suppresses the other.
EVERYTHING = ["MODEL.FACE_DETECTOR.SCORE_THRESH_TEST", 0.0]
EVERYTHING += ["MODEL.FACE_DETECTOR.NMS_THRESH_TEST", 1.0]


@pytest.fixture
def checkpoint(tmp_path):
    """As the Trainer writes one: weights with training-only parts, config and training state."""
    torch.manual_seed(0)
    cfg = tiny_config(*CONFIG)
    cfg.MODEL.BOTTOM_UP.WEIGHTS = "of/this/machine.pth"
    model = build_model(cfg).state_dict()
    cfg.MODEL.DEVICE = "cuda"  # It need not be published where it was trained.
    path = tmp_path / "model_final.pth"
    torch.save({"model": model, "config": cfg.dump(), "optimizer": model, "iteration": 7}, path)
    return str(path)


@pytest.fixture
def image():
    # White noise would let the rounding of an untrained network grow from block to block.
    return np.ascontiguousarray(random_images(1, (64, 96), seed=1)[0].permute(1, 2, 0))


def test_a_predictor_finds_the_same_in_what_is_published(checkpoint, image, tmp_path):
    row = publish(checkpoint, tmp_path / "new", "own", config="own.yaml", license="MIT")
    file = row["files"]["weights"]
    path = tmp_path / "new" / file["file"]
    content = path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size"], file["sha256"])
    with safe_open(str(path), framework="pt") as opened:
        assert opened.metadata().keys() == {"config"}
        assert "of/this/machine" not in opened.metadata()["config"]
        assert not [name for name in opened.keys() if "mask_logits" in name]
    weights = read_checkpoint(str(path))["model"]
    assert {x.dtype for x in weights.values() if x.is_floating_point()} == {torch.float16}

    found, expected = (Predictor(x, overrides=EVERYTHING)(image) for x in (path, checkpoint))
    assert len(found) > 100
    np.testing.assert_allclose(found.scores[:100], expected.scores[:100], rtol=0.02)


def test_the_row_is_one_of_an_index(checkpoint, tmp_path):
    texts = {key: f"the {key}" for key in ("config", "description", "license", "protocol")}
    row = publish(checkpoint, tmp_path, "own", ap={"easy": 0.5}, **texts)
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"own": row}))
    entry = read_index(index)["own"]
    assert entry.files["weights"].path == tmp_path / "own.safetensors"
    assert entry.ap == {"easy": 0.5}
    assert {key: getattr(entry, key) for key in texts} == texts


def test_full_precision_keeps_every_bit(checkpoint, tmp_path):
    publish(checkpoint, tmp_path, "own", half=False)
    original = read_checkpoint(checkpoint)["model"]
    published = read_checkpoint(str(tmp_path / "own.safetensors"))["model"]
    assert published.keys() < original.keys()
    assert all(torch.equal(x, original[name]) for name, x in published.items())


def test_the_exported_file_has_rounded_weights_too(checkpoint, image, tmp_path):
    pytest.importorskip("onnxruntime")
    files, found = {}, {}
    images = torch.from_numpy(image).permute(2, 0, 1)[None]
    for half in (True, False):
        files[half] = publish(checkpoint, tmp_path / str(half), "own", half=half, onnx=True)
        found[half] = ExportedDetector(tmp_path / str(half) / "own.onnx")(images)
    # A tiny detector's file is not of weights alone.
    sizes = {half: row["files"]["onnx"]["size"] for half, row in files.items()}
    assert sizes[True] < 0.7 * sizes[False]
    apart = difference(found[True], found[False])
    assert apart.pairs > 100 and apart.unmatched < 0.1 * apart.pairs
    assert 0 < apart.max_score_difference < 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": None}, "carries no config"),
        ({"infinite": True}, "holds values that float16 cannot hold"),
    ],
)
def test_what_cannot_be_published_is_told_and_writes_nothing(checkpoint, tmp_path, change, message):
    content = torch.load(checkpoint, weights_only=True)
    if change.pop("infinite", False):
        content["model"]["backbone.neck.blocks.0.upsample.bias"][0] = 1e6
    torch.save({**content, **change}, checkpoint)
    with pytest.raises(ValueError, match=message):
        publish(checkpoint, tmp_path / "new", "own")
    assert not (tmp_path / "new").exists()
