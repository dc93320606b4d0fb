"""Detectors of detectron2 in the Predictor, trained as the Trainer trains them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch.retinanet import RetinaNet

from df2s2_d2 import Predictor
from df2s2_d2.cli.program import main
from df2s2_d2.modeling.meta_arch_settings import detection_thresholds, number_of_classes
from df2s2_d2.training import Trainer
from tests.small_runs import registered, smallest_config, wider_face_files

LEVELS = [[16], [32], [64], [128], [256]]
COMMON = {"MODEL__FPN__OUT_CHANNELS": 16, "MODEL__ANCHOR_GENERATOR__SIZES": LEVELS}
RETINANET = {
    "MODEL__META_ARCHITECTURE": "RetinaNet",
    "MODEL__BACKBONE__NAME": "build_retinanet_resnet_fpn_backbone",
    "MODEL__RESNETS__OUT_FEATURES": ["res3", "res4", "res5"],
    "MODEL__FPN__IN_FEATURES": ["res3", "res4", "res5"],
    "MODEL__RETINANET__NUM_CLASSES": 2,
    "MODEL__RETINANET__NUM_CONVS": 1,
    "MODEL__RETINANET__SCORE_THRESH_TEST": 0.001,
}
FASTER_RCNN = {
    "MODEL__META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL__BACKBONE__NAME": "build_resnet_fpn_backbone",
    "MODEL__RESNETS__OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL__FPN__IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL__RPN__IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL__RPN__POST_NMS_TOPK_TEST": 100,
    "MODEL__ROI_HEADS__NAME": "StandardROIHeads",
    "MODEL__ROI_HEADS__IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL__ROI_HEADS__NUM_CLASSES": 2,
    "MODEL__ROI_BOX_HEAD__NAME": "FastRCNNConvFCHead",
    "MODEL__ROI_BOX_HEAD__NUM_FC": 1,
    "MODEL__ROI_BOX_HEAD__FC_DIM": 16,
    "MODEL__ROI_BOX_HEAD__POOLER_RESOLUTION": 7,
}
DETECTORS = {"RetinaNet": RETINANET, "GeneralizedRCNN": FASTER_RCNN}
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=DETECTORS)
def checkpoint(request, sample_dataset, tmp_path_factory) -> Path:
    """Of a detector with two classes, of which the second never occurs, after two steps."""
    folder = tmp_path_factory.mktemp(request.param)
    with registered(two_classes_train=wider_face_files(sample_dataset, "train")):
        cfg = smallest_config(
            **COMMON,
            **DETECTORS[request.param],
            DATASETS__TRAIN=("two_classes_train",),
            DATASETS__TEST=(),
            SOLVER__MAX_ITER=2,
            OUTPUT_DIR=str(folder),
        )
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=False)
        trainer.train()
    return folder / "model_final.pth"


@pytest.fixture(scope="module")
def predictor(checkpoint) -> Predictor:
    return Predictor(checkpoint)


def test_a_checkpoint_alone_finds_faces(checkpoint):
    everything = Predictor(checkpoint, face_class=None)
    assert type(everything.model).__name__ in DETECTORS
    found = everything(IMAGE)
    assert found.image_size == (90, 120) and found.pred_classes.unique().tolist() == [0, 1]
    assert (found.scores.diff() <= 0).all()
    assert not any(parameter.requires_grad for parameter in everything.model.parameters())
    for face_class in (0, 1):
        everything.face_class = face_class
        faces, expected = everything(IMAGE), found[found.pred_classes == face_class]
        assert len(faces) == len(expected) > 0
        torch.testing.assert_close(faces.pred_boxes.tensor, expected.pred_boxes.tensor)
        assert (faces.pred_classes == face_class).all()


@pytest.mark.parametrize("face_class", [2, -1])
def test_a_class_that_there_is_not_is_refused(checkpoint, face_class):
    with pytest.raises(ValueError, match=f"face_class is {face_class}, but the last class"):
        Predictor(checkpoint, face_class=face_class)


def test_several_images_get_the_detections_they_get_alone(predictor):
    first, _, last = predictor([IMAGE, IMAGE[:50], IMAGE])
    alone = predictor(IMAGE)
    assert (alone.pred_classes == 0).all()  # the face, unless another class is named
    for found in (first, last):
        torch.testing.assert_close(found.scores, alone.scores, atol=1e-5, rtol=0)
        distances = torch.cdist(found.pred_boxes.tensor, alone.pred_boxes.tensor, p=torch.inf)
        assert distances.amin(dim=1).max() < 0.01


def test_large_images_are_also_looked_at_in_their_original_size(checkpoint):
    sizes = []
    tiled = Predictor(checkpoint, tile_above=100)
    tiled.model.register_forward_pre_hook(
        lambda _, inputs: sizes.extend(tuple(one["image"].shape[1:]) for one in inputs[0])
    )
    image = IMAGE.repeat(2, axis=0).repeat(2, axis=1)
    assert tiled.find(image).image_size == (180, 240)
    assert sizes == [(128, 171), (180, 240)]


def test_only_a_face_detector_has_other_precisions(checkpoint, predictor):
    with pytest.raises(ValueError, match="precision: a (RetinaNet|GeneralizedRCNN) runs in fp32"):
        Predictor(checkpoint, precision="bf16")
    found, expected = Predictor(checkpoint, precision="auto").find(IMAGE), predictor.find(IMAGE)
    np.testing.assert_array_equal(found.xyxy, expected.xyxy)


def test_weights_that_are_not_finite_are_refused(checkpoint, tmp_path):
    content = torch.load(checkpoint)
    next(iter(content["model"].values())).fill_(torch.nan)
    torch.save(content, tmp_path / "broken.pth")
    with pytest.raises(ValueError, match="broken.pth are not finite .*: the training diverged"):
        Predictor(tmp_path / "broken.pth")


def test_the_command_writes_the_faces_alone(checkpoint, sample_dataset, tmp_path):
    (image, *_) = sorted((sample_dataset / "wider_face/WIDER_val/images").rglob("*.jpg"))
    arguments = ["--weights", str(checkpoint), "--output", str(tmp_path), "--no-pictures"]
    assert main(["detect", str(image), *arguments, "--write-threshold", "0.002"]) == 0
    (record,) = json.loads((tmp_path / "detections.json").read_text())
    faces = Predictor(checkpoint, overrides=thresholds(0.002)).find(image)
    assert 0 < len(faces) == len(record["faces"])


def thresholds(value: float) -> list:
    keys = ("MODEL.RETINANET", "MODEL.ROI_HEADS")
    return [part for key in keys for part in (f"{key}.SCORE_THRESH_TEST", value)]


def test_settings_of_derived_models_are_where_those_of_their_base_are():
    class Derived(RetinaNet):
        pass

    cfg = smallest_config(MODEL__META_ARCHITECTURE="Derived")
    assert detection_thresholds(cfg) == {}
    assert number_of_classes(cfg) is None
    META_ARCH_REGISTRY._do_register("Derived", Derived)
    try:
        assert detection_thresholds(cfg) is cfg.MODEL.RETINANET
        cfg.MODEL.RETINANET.NUM_CLASSES = 7
        assert number_of_classes(cfg) == ("MODEL.RETINANET.NUM_CLASSES", 7)
    finally:
        del META_ARCH_REGISTRY._obj_map["Derived"]
