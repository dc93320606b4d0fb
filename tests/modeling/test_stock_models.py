"""Necks under detectron2's own models, and the detector on its own backbones."""

from __future__ import annotations

from pathlib import Path

import detectron2
import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone, build_model
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.utils.events import EventStorage
from torch import nn

from df2s2_d2 import add_df2s2_config
from df2s2_d2.modeling import FEM, FFP, FaceDetector, PyramidBackbone, Shot, TowerHead
from df2s2_d2.modeling.anchors import GridAnchorGenerator
from df2s2_d2.modeling.backbone import VGG16
from df2s2_d2.modeling.backbone.pyramid import BottomUp
from df2s2_d2.modeling.losses import FocalLoss
from df2s2_d2.modeling.targets import AnchorMatcher
from tests.modeling import scenes

STOCK = Path(detectron2.__file__).parent / "model_zoo/configs/COCO-Detection"
RETINANET = "retinanet_R_50_FPN_1x.yaml"
FASTER_RCNN = "faster_rcnn_R_50_FPN_1x.yaml"
FACES = [[20, 30, 60, 80], [70, 10, 90, 38]]

BOTTOM_UPS = {
    "resnet": {
        "MODEL.BOTTOM_UP.NAME": "build_resnet_backbone",
        "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 16,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    },
    "vgg16": {"MODEL.BOTTOM_UP.NAME": "build_vgg16_backbone", "MODEL.VGG.WIDTH": 4},
    "timm": {
        "MODEL.BOTTOM_UP.NAME": "build_timm_backbone",
        "MODEL.TIMM.NAME": "mobilenetv3_small_050",
    },
}
# The neck's maps of each model: c3 to c5 of the network and two above, or c2 to c5 and one above.
MODELS = {
    RETINANET: {
        "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
        "MODEL.NECK.IN_FEATURES": ["c3", "c4", "c5"],
        "MODEL.RETINANET.NUM_CLASSES": 1,
    },
    FASTER_RCNN: {
        "MODEL.NECK.IN_FEATURES": ["c2", "c3", "c4", "c5"],
        "MODEL.ROI_HEADS.NUM_CLASSES": 1,
        "MODEL.ROI_BOX_HEAD.FC_DIM": 16,
    },
}


def stock_config(model: str, changes: dict) -> CfgNode:
    """One of detectron2's configs with a pyramid of this project, narrow and on the CPU."""
    cfg = get_cfg()
    add_df2s2_config(cfg)
    cfg.merge_from_file(str(STOCK / model))
    keys = {"MODEL.DEVICE": "cpu", "MODEL.WEIGHTS": ""}
    keys |= {"MODEL.BACKBONE.NAME": "build_pyramid_backbone"} | MODELS[model] | changes
    cfg.merge_from_list([part for pair in keys.items() for part in pair])
    return cfg


def neck_keys(neck: str, model: str) -> dict:
    return {
        "MODEL.NECK.NAME": neck,
        f"MODEL.{neck}.OUT_CHANNELS": 16,
        f"MODEL.{neck}.NUM_POOLED_LEVELS": 2 if model == RETINANET else 1,
    }


@pytest.mark.parametrize("bottom_up", BOTTOM_UPS)
@pytest.mark.parametrize("neck", ["FFP", "FEM"])
@pytest.mark.parametrize("model", MODELS)
def test_necks_sit_under_models_of_detectron2(model, neck, bottom_up):
    if bottom_up == "timm":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    detector = build_model(stock_config(model, neck_keys(neck, model) | BOTTOM_UPS[bottom_up]))
    assert isinstance(detector.backbone.neck, {"FFP": FFP, "FEM": FEM}[neck])
    levels = range(3, 8) if model == RETINANET else range(2, 7)
    expected = {f"p{k}": (16, 2**k) for k in levels}
    shapes = detector.backbone.output_shape()
    assert {k: (shapes[k].channels, shapes[k].stride) for k in expected} == expected

    batch = [scenes.mapped_image((128, 128), FACES, seed=1)]
    with EventStorage():
        losses = detector.train()(batch)
    sum(losses.values()).backward()
    trained = {name for name, p in detector.named_parameters() if p.requires_grad}
    gradients = {name for name, p in detector.named_parameters() if p.grad is not None}
    # A foreign model uses all of the neck: with several processes, torch would complain.
    assert {name for name in trained - gradients if ".neck." in name} == set()
    assert all(loss.isfinite() for loss in losses.values())
    with torch.no_grad():
        (output,) = detector.eval()(batch)
    assert set(output["instances"].get_fields()) == {"pred_boxes", "scores", "pred_classes"}


@pytest.mark.parametrize("branches", ["stacked", "single", "smoothing", "released"])
def test_fem_projects_whatever_its_branches_give(branches):
    shapes = {f"c{k}": ShapeSpec(channels=3 * k, stride=2**k) for k in (2, 3)}
    neck = FEM(input_shape=shapes, branches=branches, out_channels=5, num_pooled_levels=2)
    outputs = neck({"c2": torch.rand(1, 6, 6, 10), "c3": torch.rand(1, 9, 3, 5)})
    assert {name: tuple(x.shape[1:]) for name, x in outputs.items()} == {
        "p2": (5, 6, 10),
        "p3": (5, 3, 5),
        "p4": (5, 2, 3),
        "p5": (5, 1, 2),
    }
    assert neck.sources == {"p4": "p3", "p5": "p3"}
    # What is left of a map of odd size has a cell of its own.
    assert torch.equal(outputs["p4"][0, :, 1, 2], outputs["p3"][0, :, 2, 4])


WRONG = [
    (
        RETINANET,
        {"MODEL.NECK.NAME": "FEM"},
        ["RETINANET.IN_FEATURES names ['p6', 'p7']", "FEM.NUM_POOLED_LEVELS"],
    ),
    (
        RETINANET,
        {"MODEL.NECK.NAME": "FEM", "MODEL.FEM.NUM_POOLED_LEVELS": 2},
        ["unequal width, {'p3': 32, 'p4': 64, 'p5': 128", "set MODEL.FEM.OUT_CHANNELS"],
    ),
    (
        FASTER_RCNN,
        {"MODEL.NECK.NAME": "FFP"},
        ["MODEL.RPN.IN_FEATURES", "unequal width", "set MODEL.FFP.OUT_CHANNELS"],
    ),
    (
        FASTER_RCNN,
        {"MODEL.NECK.NAME": "FFP", "MODEL.FFP.OUT_CHANNELS": 16, "MODEL.FFP.NUM_POOLED_LEVELS": 0},
        ["MODEL.RPN.IN_FEATURES names ['p6']", "MODEL.FFP.NUM_POOLED_LEVELS"],
    ),
    (
        FASTER_RCNN,
        {"MODEL.NECK.NAME": "FPN", "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "q3"]},
        ["MODEL.ROI_HEADS.IN_FEATURES names ['q3']", "MODEL.NECK.IN_FEATURES"],
    ),
    (
        FASTER_RCNN,
        {"MODEL.NECK.NAME": "Identity", "MODEL.BOTTOM_UP.NUM_POOLED_LEVELS": 1},
        ["MODEL.RPN.IN_FEATURES names ['p6']", "MODEL.BOTTOM_UP.NUM_POOLED_LEVELS"],
    ),
    (
        FASTER_RCNN,
        {
            "MODEL.NECK.NAME": "Identity",
            "MODEL.BOTTOM_UP.NUM_POOLED_LEVELS": 1,
            "MODEL.NECK.IN_FEATURES": ["c2", "c3", "c4", "c5", "c6"],
        },
        ["unequal width", "choose FFP, FEM or FPN as MODEL.NECK.NAME"],
    ),
    (
        FASTER_RCNN,
        {"MODEL.NECK.NAME": "FPN", "MODEL.ANCHOR_GENERATOR.SIZES": [[16], [32]]},
        ["MODEL.ANCHOR_GENERATOR.SIZES has 2 entries for the 5 maps of MODEL.RPN.IN_FEATURES"],
    ),
    (RETINANET, {"MODEL.NECK.NAME": "FPPN"}, ["MODEL.NECK.NAME is 'FPPN' (is it FPN?)"]),
    (
        RETINANET,
        {"MODEL.NECK.IN_FEATURES": []},
        ["MODEL.NECK.IN_FEATURES names no map"],
    ),
    (
        RETINANET,
        {"MODEL.RESNETS.OUT_FEATURES": ["res4"]},
        ["MODEL.NECK.IN_FEATURES names ['c3', 'c5']", "MODEL.RESNETS.OUT_FEATURES"],
    ),
    (
        RETINANET,
        {"MODEL.BOTTOM_UP.NAME": "build_resnet"},
        ["MODEL.BOTTOM_UP.NAME is 'build_resnet' (is it build_resnet_backbone?)"],
    ),
    (
        RETINANET,
        {"MODEL.BOTTOM_UP.NAME": "build_pyramid_backbone"},
        ["MODEL.BOTTOM_UP.NAME is 'build_pyramid_backbone'", "must be one of"],
    ),
]


@pytest.mark.parametrize(("model", "changes", "words"), WRONG)
def test_what_does_not_fit_is_one_sentence_when_it_is_built(model, changes, words):
    with pytest.raises(ValueError) as caught:
        build_model(stock_config(model, BOTTOM_UPS["resnet"] | changes))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("architecture", "backbone"),
    [
        ("RetinaNet", "build_pyramid_backbone"),
        ("RetinaNet", "build_vgg16_backbone"),
        ("RetinaNet", "build_timm_backbone"),
        ("FaceDetector", "build_retinanet_resnet_fpn_backbone"),
    ],
)
def test_keys_that_were_never_added_are_told(architecture, backbone):
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.BACKBONE.NAME = architecture, backbone
    with pytest.raises(ValueError, match=r"^The config has no MODEL\.\w+: call .*add_df2s2_config"):
        build_model(cfg)


def test_the_detector_sits_on_a_backbone_of_detectron2():
    cfg = get_cfg()
    add_df2s2_config(cfg)
    cfg.merge_from_file(str(STOCK / RETINANET))
    cfg.MODEL.DEVICE, cfg.MODEL.META_ARCHITECTURE = "cpu", "FaceDetector"
    with pytest.raises(ValueError, match=r"IN_FEATURES of MODEL\.SHOT .* names \['p2'\]"):
        build_model(cfg)
    cfg.MODEL.SHOT.IN_FEATURES = cfg.MODEL.RETINANET.IN_FEATURES
    check_trains(build_model(cfg))


def test_a_shot_sits_on_any_backbone_without_a_config():
    """Here ViTDet's, whose maps are squares of one size."""
    from detectron2.modeling.backbone.vit import SimpleFeaturePyramid, ViT

    backbone = SimpleFeaturePyramid(
        net=ViT(img_size=128, embed_dim=16, depth=1, num_heads=2, out_feature="last_feat"),
        in_feature="last_feat",
        out_channels=8,
        scale_factors=(4.0, 2.0, 1.0, 0.5),
        square_pad=128,
    )
    cfg = get_cfg()
    add_df2s2_config(cfg)
    cfg.MODEL.SHOT.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    shot = Shot(cfg.MODEL.SHOT, backbone.output_shape())
    check_trains(
        FaceDetector(
            backbone=backbone,
            shot=shot,
            pixel_mean=(127.0, 127.0, 127.0),
            pixel_std=(128.0, 128.0, 128.0),
        )
    )


def check_trains(detector: nn.Module) -> None:
    batch = [scenes.mapped_image((96, 128), FACES, seed=1)]
    losses = detector.train()(batch)
    sum(losses.values()).backward()
    assert set(losses) == {"loss_cls", "loss_box_reg", "loss_mask"}
    trained = {name: p for name, p in detector.named_parameters() if p.requires_grad}
    # Of a network, stages behind the last map that is read get none.
    assert [name for name, p in trained.items() if p.grad is None and "bottom_up" not in name] == []
    with torch.no_grad():
        (output,) = detector.eval()(batch)
    assert output["instances"].image_size == (96, 128)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_channels": -4}, r"OUT_CHANNELS must be 0 or more, found -4"),
        ({"num_pooled_levels": -1}, "NUM_POOLED_LEVELS of a neck must be 0 or more, found -1"),
    ],
)
@pytest.mark.parametrize("neck", [FFP, FEM])
def test_negative_numbers_are_refused(neck, options, message):
    shapes = {f"c{k}": ShapeSpec(channels=4, stride=2**k) for k in (2, 3)}
    with pytest.raises(ValueError, match=message):
        neck(input_shape=shapes, **options)
    with pytest.raises(
        ValueError, match=r"^The config has no MODEL\.F\w+: call .*add_df2s2_config"
    ):
        neck(get_cfg(), shapes)


def test_models_of_others_may_read_what_they_like():
    cfg = stock_config(RETINANET, BOTTOM_UPS["resnet"] | {"MODEL.NECK.NAME": "FEM"})
    cfg.MODEL.META_ARCHITECTURE = "SomethingOfTheirOwn"
    assert {"p3", "p4", "p5"} <= build_backbone(cfg).output_shape().keys()


def parts(**changes) -> dict:
    """Arguments for a detector of two levels, built without a config."""
    shapes = {f"p{k}": ShapeSpec(channels=8, stride=2**k) for k in (3, 4)}
    options = {
        "head_shapes": shapes,
        "num_anchors": 2,
        "strides": [8, 16],
        "in_features": ["p3", "p4"],
    } | changes
    generator = GridAnchorGenerator(
        strides=options["strides"], scale=4.0, octaves=[1.0], aspect_ratios=[1.0, 1.5], offset=0.5
    )
    shot = Shot(
        head=TowerHead(
            input_shape=options["head_shapes"], sources={}, num_anchors=options["num_anchors"]
        ),
        anchor_generator=generator,
        in_features=options["in_features"],
        matcher=AnchorMatcher((0.4, 0.5), allow_low_quality_matches=True),
        box2box_transform=Box2BoxTransform((1.0, 1.0, 1.0, 1.0)),
        classification_loss=FocalLoss(0.25, 2.0),
    )
    network = VGG16(in_channels=3, width=2, fc6_dilation=1, l2_norm_scales=(), freeze_at=0)
    bottom_up = BottomUp(network)
    maps = {name: bottom_up.output_shape()[name] for name in ("c3", "c4")}
    neck = FFP(input_shape=options.get("neck_shapes", maps), out_channels=8, num_pooled_levels=0)
    return {
        "backbone": PyramidBackbone(bottom_up, neck, ["c3", "c4"]),
        "shot": shot,
        "pixel_mean": (0.0, 0.0, 0.0),
        "pixel_std": (1.0, 1.0, 1.0),
    }


def specs(channels: int, *levels: int) -> dict[str, ShapeSpec]:
    return {f"p{k}": ShapeSpec(channels=channels, stride=2**k) for k in levels}


def test_a_detector_is_built_of_parts():
    check_trains(FaceDetector(**parts()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"head_shapes": specs(9, 3, 4)},
            "head of a shot was built for channels {'p3': 9",
        ),
        ({"head_shapes": specs(8, 3, 5)}, r"head of a shot reads the maps \['p5'\]"),
        ({"head_shapes": specs(8, 4, 3)}, "in the same order"),
        ({"in_features": ["p3", "p6"]}, r"names \['p6'\], but the backbone gives"),
        ({"strides": [4, 8]}, r"anchors have strides \[4, 8\].* have \[8, 16\]"),
        ({"num_anchors": 6}, "predicts 6 anchors a cell, but there are 2"),
        (
            {"neck_shapes": {f"c{k}": ShapeSpec(channels=7, stride=2**k) for k in (3, 4)}},
            "The neck was built for channels {'c3': 7, 'c4': 7}, but those of the bottom-up",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        FaceDetector(**parts(**changes))
