"""Detectors small enough for tests, built from the shipped configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model

from df2s2_d2 import load_config
from df2s2_d2.modeling import FaceDetector

_CONFIGS = Path(__file__).resolve().parents[2] / "configs"
_TINY = ["MODEL.DEVICE", "cpu"]
_TINY += ["MODEL.RESNETS.STEM_OUT_CHANNELS", 8, "MODEL.RESNETS.RES2_OUT_CHANNELS", 16]
_TINY += ["MODEL.RESNETS.WIDTH_PER_GROUP", 4]
_TINY += ["MODEL.SHOT.HEAD.CONV_DIM", 16, "MODEL.FIRST_SHOT.HEAD.CONV_DIM", 16]
_TINY += ["MODEL.FPN.OUT_CHANNELS", 16]


@pytest.fixture
def tiny_config() -> Callable[..., CfgNode]:
    """``tiny_config(file, key, value, ...)``: a config of ``configs/``, narrow and on the CPU."""

    def load(config_file: str = "DF2S2/DF2S2_R50.yaml", *overrides) -> CfgNode:
        return load_config(str(_CONFIGS / config_file), [*_TINY, *overrides])

    return load


@pytest.fixture
def tiny_detector(tiny_config: Callable[..., CfgNode]) -> Callable[..., FaceDetector]:
    """``tiny_detector(file, key, value, ...)``: the same, built with fixed random weights."""

    def build(*arguments) -> FaceDetector:
        torch.manual_seed(0)
        return build_model(tiny_config(*arguments))

    return build
