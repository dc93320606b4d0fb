from __future__ import annotations

import io

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import save

from df2s2_d2.config import load_config
from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.inference.trained_weights import CONFIG_KEY, read_checkpoint, weights_in
from df2s2_d2.modeling.backbone.pretrained import read_state_dict
from tests.fuzzing.cases import json_values, mutated, noise, tokens
from tests.fuzzing.fuzzing import ends_well, fuzz

CONFIG = b"""MODEL:
  META_ARCHITECTURE: FaceDetector
  PIXEL_MEAN: [1.0, 2.0, 3.0]
SOLVER: {BASE_LR: 0.01, STEPS: (3, 4)}
DATASETS:
  TRAIN: ("wider_face_train",)
TEST:
  BEST_METRIC: "wider_face/AP_hard"
VERSION: 2
"""
TOKENS = (
    *(b"!!python/object/apply:os.system ['touch /tmp/breach']", b"!!python/name:os.system", b"&a "),
    *(b"*a", b"<<: ", b"\n  ", b": ", b"[", b"{", b"'", b"_BASE_: self.yaml", b"!!binary ", b"\t"),
    *(b"__import__('os')", b"null", b"1e999", b"[" * 2000, b"MODEL", b"\xff", b"? "),
)
WEIGHTS = {"model": {"a": torch.zeros(2, 3), "b": torch.ones(1)}, CONFIG_KEY: CONFIG.decode()}


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@fuzz(mutated(CONFIG, tokens=TOKENS) | noise(b"MODEL: "))
def test_configs(folder, case):
    path = folder / "self.yaml"
    path.write_bytes(case)
    cfg = ends_well(lambda: load_config(str(path)), str(path))
    assert cfg is None or cfg.MODEL.META_ARCHITECTURE is not None


keys = st.sampled_from(("MODEL.MASK_ON", "SOLVER.STEPS", "MODEL", "NO.SUCH", "TEST.AUG.FLIP", ""))


@fuzz(st.lists(keys | tokens | json_values.map(repr), max_size=4))
def test_overrides(case):
    ends_well(lambda: load_config("", case), "Config overrides")


@fuzz(
    st.builds(
        lambda text: saved({**WEIGHTS, CONFIG_KEY: text.decode("utf-8", "replace")}),
        mutated(CONFIG, tokens=TOKENS),
    )
)
def test_configs_that_checkpoints_carry(folder, case):
    path = folder / "model.pth"
    path.write_bytes(case)
    ends_well(lambda: config_of(str(path)), str(path))


@fuzz(mutated(saved(WEIGHTS), saved(WEIGHTS["model"])) | noise(saved(WEIGHTS)[:200]))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_checkpoints(folder, case):
    path = folder / "model.pth"
    path.write_bytes(case)
    weights = ends_well(
        lambda: weights_in(read_checkpoint(str(path), mapped=False), str(path)), str(path)
    )
    assert weights is None or all(map(torch.is_tensor, weights.values()))


@fuzz(mutated(saved(WEIGHTS["model"])))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_weights_of_backbones(folder, case):
    path = folder / "backbone.pth"
    path.write_bytes(case)
    ends_well(lambda: read_state_dict(str(path)), str(path))


@fuzz(mutated(save(WEIGHTS["model"], {CONFIG_KEY: CONFIG.decode()}), tokens=TOKENS))
def test_safetensors(folder, case):
    path = folder / "model.safetensors"
    path.write_bytes(case)
    ends_well(lambda: weights_in(read_checkpoint(str(path)), str(path)), str(path))
