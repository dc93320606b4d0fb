from __future__ import annotations

import pytest
import torch

from df2s2_d2.training import check_inputs
from df2s2_d2.training.model_checks import build_untrained, check_part_names
from tests.small_runs import smallest_config
from tests.tiny_detectors import tiny_config


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("MODEL.META_ARCHITECTURE", "FaceDetektor", r"is it FaceDetector\?.*RetinaNet"),
        ("MODEL.BACKBONE.NAME", "pyramid", "build_pyramid_backbone"),
        ("MODEL.BOTTOM_UP.NAME", "build_vgg_backbone", r"is it build_vgg16_backbone\?"),
        ("MODEL.NECK.NAME", "FPPN", r"is it FPN\?.*one of FEM, FFP, FPN, Identity$"),
        ("MODEL.SHOT.HEAD.NAME", "Tower", "RetinaNetHead, SSDHead, TowerHead$"),
        ("INPUT.FORMAT", "GBR", "one of BGR, RGB$"),
        ("MODEL.DEVICE", "gpu", "give cuda or cpu"),
        ("MODEL.DEVICE", "cuda:99", "MODEL.DEVICE cpu"),
        ("SOLVER.LR_SCHEDULER_NAME", "Cosine", "WarmupCosineLR, WarmupMultiStepLR"),
        ("SOLVER.WARMUP_METHOD", "exp", "one of constant, linear$"),
        ("DATALOADER.SAMPLER_TRAIN", "Sampler", "TrainingSampler"),
        ("INPUT.RANDOM_FLIP", "both", "horizontal"),
        ("INPUT.MIN_SIZE_TRAIN_SAMPLING", "all", "keys below INPUT"),
        ("DATASETS.INVALID_FACES", "keep", "ignore, face, drop"),
    ],
)
def test_unknown_names_are_told_with_those_that_are_known(key, value, words):
    cfg = smallest_config(**{key.replace(".", "__"): value})
    with pytest.raises(ValueError, match=words) as caught:
        check_inputs(cfg)
    assert repr(value) in str(caught.value) or key == "INPUT.MIN_SIZE_TRAIN_SAMPLING"
    assert key in str(caught.value) or "keys below INPUT" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_of_parts_that_are_not_built_do_not_matter():
    check_part_names(smallest_config(MODEL__FIRST_SHOT__HEAD__NAME="none"))
    check_part_names(
        smallest_config(MODEL__META_ARCHITECTURE="RetinaNet", MODEL__SHOT__HEAD__NAME="x")
    )
    with pytest.raises(ValueError, match="MODEL.FIRST_SHOT.HEAD.NAME is 'none'"):
        check_part_names(
            smallest_config(MODEL__FIRST_SHOT__HEAD__NAME="none", MODEL__FIRST_SHOT__ENABLED=True)
        )


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"MODEL__RESNETS__DEPTH": 19}, r"keys below MODEL \(19\)"),
        ({"MODEL__FFP__KERNEL_SIZE": 7}, "KERNEL_SIZE"),
        ({"MODEL__NECK__IN_FEATURES": ["c2", "c9"]}, "MODEL.NECK.IN_FEATURES"),
        ({"MODEL__BOTTOM_UP__NAME": "build_timm_backbone", "MODEL__TIMM__NAME": "dpn"}, "timm"),
        ({"MODEL__SHOT__HEAD__NORM": "XN"}, "a norm is 'XN': it must be one of BN, FrozenBN, GN"),
        ({"MODEL__FFP__NORM": "XN"}, "a norm is 'XN'"),
        (
            {"MODEL__BOTTOM_UP__LATERAL_CHANNELS": 48},
            "a norm of 48 channels is 'GN', which does not fit them",
        ),
        ({"MODEL__BOTTOM_UP__NUM_POOLED_LEVELS": -1}, "NUM_POOLED_LEVELS must be 0 or more"),
        ({"MODEL__SHOT__ANCHORS__SCALE": 0.0}, r"ANCHORS.SCALE .* above 0, found \[0.0\]"),
        ({"MODEL__SHOT__ANCHORS__OCTAVES": [1.0, -1.0]}, "ANCHORS.OCTAVES of MODEL.SHOT"),
        ({"MODEL__SHOT__ANCHORS__ASPECT_RATIOS": []}, "ANCHORS.ASPECT_RATIOS of MODEL.SHOT"),
        ({"MODEL__SHOT__LOSS__BBOX_REG_WEIGHTS": (1.0, 1.0)}, "must be four numbers above 0"),
        ({"MODEL__SHOT__LOSS__BBOX_REG_WEIGHTS": (1.0, 1.0, 0.0, 1.0)}, "LOSS.BBOX_REG_WEIGHTS"),
    ],
)
def test_a_model_that_cannot_be_built_is_one_sentence(overrides, words):
    with pytest.raises(ValueError, match=words) as caught:
        build_untrained(smallest_config(**overrides))
    assert "\n" not in str(caught.value)


def test_building_for_a_check_leaves_seeds_and_config_alone():
    cfg = tiny_config()
    cfg.MODEL.DEVICE = "cuda"
    cfg.freeze()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    model = build_untrained(cfg)
    assert torch.equal(torch.rand(2), expected)
    assert cfg.MODEL.DEVICE == "cuda" and model.device.type == "cpu"


def test_weights_of_a_bottom_up_that_is_not_there_are_refused(tmp_path):
    (tmp_path / "weights.pth").touch()
    cfg = smallest_config(
        MODEL__META_ARCHITECTURE="RetinaNet",
        MODEL__BACKBONE__NAME="build_resnet_fpn_backbone",
        MODEL__FPN__IN_FEATURES=["res2", "res3", "res4", "res5"],
        MODEL__RETINANET__IN_FEATURES=["p2", "p3", "p4", "p5"],
        MODEL__RETINANET__NUM_CLASSES=1,
        MODEL__BOTTOM_UP__WEIGHTS=str(tmp_path / "weights.pth"),
    )
    with pytest.raises(ValueError, match="MODEL.BOTTOM_UP.WEIGHTS is .* but a FPN"):
        check_inputs(cfg)


@pytest.mark.parametrize(
    ("architecture", "key"),
    [
        ("RetinaNet", "MODEL.RETINANET.NUM_CLASSES"),
        ("GeneralizedRCNN", "MODEL.ROI_HEADS.NUM_CLASSES"),
    ],
)
def test_models_of_many_classes_are_refused(architecture, key):
    with pytest.raises(ValueError, match=f"^{key} is 80, but the data sets have one class"):
        check_inputs(smallest_config(MODEL__META_ARCHITECTURE=architecture))
