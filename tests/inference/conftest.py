"""A detector that is small, and trained by nobody, in a checkpoint as the trainer saves it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model

from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, CarriedConfig
from tests.tiny_detectors import tiny_config


@pytest.fixture(scope="session")
def save_checkpoint(tmp_path_factory) -> Callable[[CfgNode], str]:
    """Function that builds a detector with fixed random weights and saves it with its config."""

    def save(cfg: CfgNode) -> str:
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("checkpoint") / "model.pth"
        weights = build_model(cfg).state_dict()
        torch.save({"model": weights, CONFIG_KEY: CarriedConfig(cfg).state_dict()}, path)
        return str(path)

    return save


@pytest.fixture(scope="session")
def checkpoint_config() -> CfgNode:
    """Of a small DF²S² with masks and two shots."""
    cfg = tiny_config("DF2S2/DF2S2_R50_PAL.yaml", "INPUT.MIN_SIZE_TEST", 160)
    assert cfg.MODEL.FIRST_SHOT.ENABLED and cfg.MODEL.SHOT.WEAK_MASK.ENABLED
    return cfg


@pytest.fixture(scope="session")
def checkpoint(checkpoint_config, save_checkpoint) -> str:
    """Path of a checkpoint of ``checkpoint_config``."""
    return save_checkpoint(checkpoint_config)
