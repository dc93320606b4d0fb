"""A config whose anchors can be counted by hand."""

from __future__ import annotations

from pathlib import Path

from detectron2.config import CfgNode

from df2s2_d2 import load_config

CONFIG = str(Path(__file__).resolve().parents[2] / "configs/DF2S2/Base-DF2S2.yaml")
# One square anchor a cell, 4 strides wide, and images as they are.
PLAIN = {
    "MODEL.SHOT.ANCHORS.OCTAVES": [1.0],
    "MODEL.SHOT.ANCHORS.ASPECT_RATIOS": [1.0],
    "MODEL.SHOT.MATCHING.IOU_THRESHOLDS": [0.4, 0.4],
    "INPUT.CROP.ENABLED": False,
    "INPUT.RANDOM_FLIP": "none",
    "INPUT.RESIZE_SQUARE_TRAIN": 128,
}


def make_config(overrides: dict | None = None) -> CfgNode:
    settings = PLAIN | (overrides or {})
    return load_config(CONFIG, [part for pair in settings.items() for part in pair])
