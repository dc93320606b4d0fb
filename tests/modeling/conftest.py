"""Detectors small enough for tests, built from the shipped configs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from detectron2.config import CfgNode

from df2s2_d2.modeling import FaceDetector
from tests import tiny_detectors


@pytest.fixture
def tiny_config() -> Callable[..., CfgNode]:
    """``tiny_config(file, key, value, ...)``: a config of ``configs/``, narrow and on the CPU."""
    return tiny_detectors.tiny_config


@pytest.fixture
def tiny_detector() -> Callable[..., FaceDetector]:
    """``tiny_detector(file, key, value, ...)``: the same, built with fixed random weights."""
    return tiny_detectors.tiny_detector
