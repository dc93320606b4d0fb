"""The weights that come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

import df2s2_d2
from df2s2_d2 import load_config
from df2s2_d2.config import parse_config
from df2s2_d2.evaluation.wider_face import GroundTruth, evaluate_wider_face
from df2s2_d2.formats.wider_face_text import read_annotations
from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.inference.predictor import Predictor
from df2s2_d2.inference.trained_weights import load_trained, without_training_parts
from df2s2_d2.models import find_model
from tests.small_runs import ROOT, wider_face_files

MODELS = Path(df2s2_d2.__file__).parent / "models"
WEIGHTS = "faces-small"
CONFIG = ROOT / "configs/DF2S2/small/faces_small.yaml"


def test_the_card_is_that_of_the_files():
    card = (MODELS / "faces-small.md").read_text(encoding="utf-8")
    model = find_model(WEIGHTS)
    for file in model.files.values():
        assert file.sha256 in card and file.path.name in card
    assert " / ".join(f"{value:.3f}" for value in model.ap.values()) in card


def test_weights_carry_the_shipped_config():
    carried = config_of(WEIGHTS)
    # As written and read again, which makes lists of tuples within tuples.
    shipped = parse_config(load_config(str(CONFIG)).dump(), str(CONFIG))
    for cfg in (carried, shipped):
        cfg.MODEL.WEIGHTS = cfg.MODEL.BOTTOM_UP.WEIGHTS = ""
    assert carried.MODEL == shipped.MODEL
    # What images are given to it; how it was trained, the card tells.
    for key in ("FORMAT", "MIN_SIZE_TEST", "MAX_SIZE_TEST"):
        assert carried.INPUT[key] == shipped.INPUT[key], key


def test_weights_are_of_the_config_and_finite():
    pytest.importorskip("timm")
    model = build_model(without_training_parts(load_config(str(CONFIG))))
    load_trained(model, WEIGHTS)
    assert all(x.isfinite().all() for x in model.state_dict().values() if torch.is_tensor(x))


@pytest.mark.real_data
def test_faces_of_photographs_are_found(shared_data):
    pytest.importorskip("timm")
    files = wider_face_files(shared_data / "mini", "val")
    photographs = {
        Path(x.path).with_suffix("").as_posix(): x
        for x in read_annotations(files["annotation_file"])[::20]
    }
    paths = [Path(files["image_dir"]) / x.path for x in photographs.values()]
    detections = {}
    for name, found in zip(photographs, Predictor(WEIGHTS)(paths), strict=True):
        boxes = found.pred_boxes.tensor.numpy()
        sizes = boxes[:, 2:] - boxes[:, :2]
        detections[name] = np.hstack((boxes[:, :2], sizes, found.scores[:, None]))
    ground_truth = GroundTruth.from_heights({k: x.boxes for k, x in photographs.items()})
    # Among these ten photographs 38 faces are 30 pixels high or more.
    assert evaluate_wider_face(detections, ground_truth).ap["AP_medium"] > 0.5
