"""Every shipped config builds and trains; every row of the papers' tables is what it says."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances

from df2s2_d2 import load_config
from df2s2_d2.data.augmentation import RandomSquareCrop, build_augmentations
from df2s2_d2.modeling import TowerHead
from df2s2_d2.modeling.heads import RetinaNetHead
from tests.modeling import scenes

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
ALL = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml"))
ABLATIONS = [name for name in ALL if name.startswith("DF2S2/ablations/")]

ROW = "DF2S2/ablations/{}_R50.yaml"
BASE = "DF2S2/Base-DF2S2.yaml"
MULTI_SCALE = (600, 800, 1000, 1200, 1400)

# Row, what it is compared with, and all that may differ between them, with its value in the row.
DIFFERENCES = [
    ("DF2S2/DF2S2_R50.yaml", BASE, {}),
    (
        "DF2S2/DF2S2_R101.yaml",
        BASE,
        {"MODEL.RESNETS.DEPTH": 101, "MODEL.BOTTOM_UP.WEIGHTS": "weights/resnet101.pth"},
    ),
    (
        "DF2S2/DF2S2_R50_PAL.yaml",
        BASE,
        {"MODEL.BOTTOM_UP.NUM_POOLED_LEVELS": 2, "MODEL.FIRST_SHOT.ENABLED": True},
    ),
    (ROW.format("Fus"), ROW.format("RetinaNet"), {"MODEL.NECK.NAME": "FFP"}),
    (ROW.format("Seg"), ROW.format("RetinaNet"), {"MODEL.SHOT.WEAK_MASK.ENABLED": True}),
    (
        ROW.format("Seg_Aug"),
        ROW.format("Seg"),
        {"INPUT.CROP.ENABLED": True, "INPUT.RESIZE_SQUARE_TRAIN": 640},
    ),
    (
        "DF2S2/small/RetinaNet_R18_quick.yaml",
        "DF2S2/small/DF2S2_R18_quick.yaml",
        {
            "MODEL.NECK.NAME": "FPN",
            "MODEL.SHOT.HEAD.NAME": "RetinaNetHead",
            "MODEL.SHOT.WEAK_MASK.ENABLED": False,
        },
    ),
    (ROW.format("Fus_Seg_Aug"), BASE, {"INPUT.PHOTOMETRIC_DISTORTION": False}),
    *(
        (
            ROW.format("Fus_Seg_Aug").replace(".yaml", f"_lambda{weight}.yaml"),
            ROW.format("Fus_Seg_Aug"),
            {"MODEL.SHOT.WEAK_MASK.LOSS_WEIGHT": weight},
        )
        for weight in (0.1, 0.2, 0.5, 1.0)
    ),
]

DSFD = "DSFD/DSFD_{}.yaml"
DSFD_ROW = "DSFD/ablations/{}.yaml"
WITHOUT_IAM = {
    "MODEL.SHOT.ANCHORS.ASPECT_RATIOS": [1.0],
    "MODEL.SHOT.MATCHING.IOU_THRESHOLDS": [0.35, 0.35],
    "MODEL.FIRST_SHOT.ANCHORS.ASPECT_RATIOS": [1.0],
    "MODEL.FIRST_SHOT.MATCHING.IOU_THRESHOLDS": [0.35, 0.35],
    "INPUT.ANCHOR_SAMPLING.ENABLED": False,
}
VGG16 = {
    "MODEL.BOTTOM_UP.NAME": "build_vgg16_backbone",
    "MODEL.BOTTOM_UP.WEIGHTS": "weights/vgg16.pth",
    "MODEL.BOTTOM_UP.CONV_LEVELS": [[256, 512], [128, 256]],
    "MODEL.BOTTOM_UP.CONV_LEVELS_NORM": "",
}
DIFFERENCES += [
    (DSFD.format("R50"), "DSFD/Base-DSFD.yaml", {}),
    (DSFD.format("VGG16"), DSFD.format("R50"), VGG16),
    *(
        (
            DSFD.format(f"R{depth}"),
            DSFD.format("R50"),
            {
                "MODEL.RESNETS.DEPTH": depth,
                "MODEL.BOTTOM_UP.WEIGHTS": f"weights/resnet{depth}.pth",
            },
        )
        for depth in (101, 152)
    ),
    *(
        (
            DSFD.format(name),
            DSFD.format("R50"),
            {
                "MODEL.BOTTOM_UP.NAME": "build_timm_backbone",
                "MODEL.BOTTOM_UP.WEIGHTS": f"weights/{network}.pth",
                "MODEL.TIMM.NAME": network,
                **statistics,
            },
        )
        for name, network, statistics in (
            ("SE-R101", "legacy_seresnet101", {}),
            ("SE-RX101", "legacy_seresnext101_32x4d", {}),
            (
                "DPN98",
                "dpn98",
                {"MODEL.PIXEL_MEAN": [124.0, 117.0, 104.0], "MODEL.PIXEL_STD": [59.88] * 3},
            ),
        )
    ),
    (DSFD_ROW.format("FEM_PAL_R50"), DSFD.format("R50"), WITHOUT_IAM),
    (DSFD_ROW.format("FEM_PAL_R101"), DSFD.format("R101"), WITHOUT_IAM),
    (
        DSFD_ROW.format("FEM_R50"),
        DSFD_ROW.format("FEM_PAL_R50"),
        {"MODEL.FIRST_SHOT.ENABLED": False},
    ),
    (
        DSFD_ROW.format("FSSD_FEM_VGG16"),
        DSFD.format("VGG16"),
        {**WITHOUT_IAM, "MODEL.FIRST_SHOT.ENABLED": False},
    ),
    *(
        (DSFD_ROW.format(f"FSSD{name}_VGG16"), DSFD_ROW.format("FSSD_FEM_VGG16"), neck)
        for name, neck in (
            ("", {"MODEL.NECK.NAME": "Identity"}),
            ("_FPN", {"MODEL.FEM.FUSION": "sum", "MODEL.FEM.BRANCHES": "smoothing"}),
            ("_RFB", {"MODEL.FEM.FUSION": "none", "MODEL.FEM.BRANCHES": "single"}),
            ("_FPN_RFB", {"MODEL.FEM.FUSION": "sum", "MODEL.FEM.BRANCHES": "single"}),
        )
    ),
    ("mixes/FEM_masks_R50.yaml", DSFD.format("R50"), {"MODEL.SHOT.WEAK_MASK.ENABLED": True}),
    ("mixes/FFP_SSD_R50.yaml", "DF2S2/DF2S2_R50.yaml", {"MODEL.SHOT.HEAD.NAME": "SSDHead"}),
]


@cache
def load(name: str, *overrides) -> CfgNode:
    return load_config(str(CONFIGS / name), ["MODEL.DEVICE", "cpu", *overrides])


def parts_of_model(cfg: CfgNode) -> set[str]:
    """The bottom-up network, and all that stands on it, without what changes no layer or loss."""
    model = cfg.MODEL.clone()
    model.BOTTOM_UP.WEIGHTS, model.PIXEL_MEAN, model.PIXEL_STD = "", [], []
    model.SHOT.WEAK_MASK.LOSS_WEIGHT = model.FIRST_SHOT.LOSS_WEIGHT = 0.0
    for shot in (model.SHOT, model.FIRST_SHOT):
        shot.ANCHORS.ASPECT_RATIOS = shot.MATCHING.IOU_THRESHOLDS = []
    bottom_up = [
        model.pop(key).dump() for key in ("BACKBONE", "RESNETS", "BOTTOM_UP", "TIMM", "VGG")
    ]
    return {"".join(bottom_up), model.dump()}


def models_with_every_part() -> list[str]:
    """Configs of which each has a part of a model that none before it has."""
    chosen, seen = [], set()
    for name in ALL:
        parts = parts_of_model(load(name))
        if parts - seen:
            chosen.append(name)
        seen |= parts
    return chosen


def differences(row: CfgNode, other: CfgNode, prefix: str = "") -> dict[str, object]:
    """Dotted key -> value in `row`, of all keys whose values differ."""
    found = {}
    for key, value in row.items():
        if isinstance(value, CfgNode):
            found |= differences(value, other[key], f"{prefix}{key}.")
        elif value != other[key]:
            found[prefix + key] = value
    return found


def make_input(height: int, width: int, boxes: list[list[float]]) -> dict:
    generator = torch.Generator().manual_seed(height)
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    instances.gt_classes = torch.zeros(len(boxes), dtype=torch.int64)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
    return {"image": image, "instances": instances}


def test_configs_are_found():
    assert BASE in ALL and len(ABLATIONS) > 5


@pytest.mark.parametrize("name", models_with_every_part())
def test_trains_every_parameter(name):
    # Anchors from 2 to 128 pixels, so that every level of both shots finds a face in a small image.
    small_anchors = ("MODEL.SHOT.ANCHORS.SCALE", 1.0, "MODEL.FIRST_SHOT.ANCHORS.SCALE", 0.5)
    # Without their trained weights, frozen norms let the maps of deep networks grow out of bounds.
    cfg = load(name, *small_anchors, "MODEL.RESNETS.NORM", "BN")
    torch.manual_seed(0)
    model = build_model(cfg).train()
    # Many faces, so that gradients do not cancel: far from its target, a smooth-L1 loss pulls each
    # box with the same strength.
    faces = scenes.random_faces(np.random.default_rng(0), 101, (128, 128), sides=(1, 120))
    batch = [make_input(128, 128, faces.tolist()), make_input(96, 128, [])]
    losses = model(batch)
    expected = {"loss_cls", "loss_box_reg"}
    if cfg.MODEL.SHOT.WEAK_MASK.ENABLED:
        expected.add("loss_mask")
    if cfg.MODEL.FIRST_SHOT.ENABLED:
        expected |= {"loss_cls_first_shot", "loss_box_reg_first_shot"}
    assert losses.keys() == expected
    assert all(loss.isfinite() for loss in losses.values()), losses

    sum(losses.values()).backward()
    trained = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert [n for n, grad in trained.items() if grad is None] == []
    assert [n for n, grad in trained.items() if not grad.isfinite().all()] == []
    assert [n for n, grad in trained.items() if not grad.any()] == []


@pytest.mark.parametrize("name", ALL)
def test_names_of_data_sets_exist(name):
    cfg = load(name)
    assert cfg.DATASETS.TRAIN and cfg.DATASETS.TEST
    assert set(cfg.DATASETS.TRAIN + cfg.DATASETS.TEST) <= set(DatasetCatalog.list())
    assert not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS
    build_augmentations(cfg, is_train=True)
    build_augmentations(cfg, is_train=False)


@pytest.mark.parametrize("name", ALL)
def test_no_limit_undercuts_the_short_side(name):
    inputs = load(name).INPUT
    for limit, sizes in (
        (inputs.MAX_SIZE_TRAIN, inputs.MIN_SIZE_TRAIN),
        (inputs.MAX_SIZE_TEST, (inputs.MIN_SIZE_TEST,)),
    ):
        assert limit == 0 or limit >= max(sizes)


@pytest.mark.parametrize("name", ALL)
def test_schedule_is_in_order(name):
    solver = load(name).SOLVER
    has_steps = solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR"
    steps = (solver.WARMUP_ITERS, *(solver.STEPS if has_steps else ()), solver.MAX_ITER)
    assert list(steps) == sorted(set(steps))


def test_schedule_is_that_of_the_paper():
    solver = load(BASE).SOLVER
    images = 12880
    assert solver.IMS_PER_BATCH == 32
    for iterations, epochs in zip((*solver.STEPS, solver.MAX_ITER), (80, 100, 120), strict=True):
        assert iterations * 32 / images == pytest.approx(epochs, abs=0.01)
    assert (solver.BASE_LR, solver.GAMMA) == (0.004, 0.1)
    assert (solver.MOMENTUM, solver.WEIGHT_DECAY) == (0.9, 0.0001)


def test_schedule_of_dsfd_is_that_of_the_paper():
    solver = load("DSFD/Base-DSFD.yaml").SOLVER
    assert (*solver.STEPS, solver.MAX_ITER) == (40000, 50000, 60000)
    assert (solver.IMS_PER_BATCH, solver.BASE_LR, solver.GAMMA) == (16, 0.001, 0.1)
    assert (solver.MOMENTUM, solver.WEIGHT_DECAY) == (0.9, 0.0005)


def test_large_batch_sees_as_many_images():
    large, base = load("DSFD/DSFD_R152_large_batch.yaml"), load("DSFD/DSFD_R152.yaml")
    factor = large.SOLVER.IMS_PER_BATCH / base.SOLVER.IMS_PER_BATCH
    assert large.SOLVER.BASE_LR == pytest.approx(factor * base.SOLVER.BASE_LR)
    for key in ("MAX_ITER", "CHECKPOINT_PERIOD"):
        assert large.SOLVER[key] * factor == base.SOLVER[key]
    assert [step * factor for step in large.SOLVER.STEPS] == list(base.SOLVER.STEPS)
    assert large.MODEL == base.MODEL and large.INPUT == base.INPUT


@pytest.mark.parametrize(("row", "other", "expected"), DIFFERENCES, ids=lambda x: str(x)[:60])
def test_row_differs_only_in_what_it_names(row, other, expected):
    assert differences(load(row), load(other)) == expected


@pytest.mark.parametrize("row", ["Seg", "Seg_Aug"])
def test_multi_scale_rows_differ_only_in_the_size_of_training_images(row):
    changed = differences(load(ROW.format(f"{row}_MS")), load(ROW.format(row)))
    assert changed.pop("INPUT.MIN_SIZE_TRAIN") == MULTI_SCALE
    assert changed.pop("INPUT.RESIZE_SQUARE_TRAIN", 0) == 0
    assert changed.keys() <= {"INPUT.MAX_SIZE_TRAIN"}


def test_fusion_row_adds_the_pyramid_and_its_tower():
    changed = differences(load(ROW.format("Fus_Seg_Aug")), load(ROW.format("Seg_Aug")))
    # Crops are made square, so the sizes of whole images have no effect in either row.
    effective = {
        k: v for k, v in changed.items() if not k.endswith(("MIN_SIZE_TRAIN", "MAX_SIZE_TRAIN"))
    }
    assert effective == {"MODEL.NECK.NAME": "FFP", "MODEL.SHOT.HEAD.NAME": "TowerHead"}


@pytest.mark.parametrize("name", ABLATIONS)
def test_rows_are_trained_and_tested_alike(name):
    cfg, base = load(name), load(BASE)
    assert cfg.SOLVER == base.SOLVER
    assert cfg.TEST == base.TEST
    assert cfg.INPUT.RANDOM_FLIP == "horizontal"
    assert not cfg.INPUT.PHOTOMETRIC_DISTORTION
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) == (800, 0)


def test_baseline_has_fpn_two_towers_no_masks_and_no_crops():
    cfg = load(ROW.format("RetinaNet"))
    model = build_model(cfg)
    assert type(model.backbone.neck).__name__ == "FPN"
    assert isinstance(model.shot.head, RetinaNetHead)
    assert model.shot.head.mask_logits is None
    assert model.first_shot is None
    names = [type(augmentation).__name__ for augmentation in build_augmentations(cfg, True)]
    assert names == ["ResizeShortestEdge", "RandomFlip"]


def test_df2s2_has_ffp_one_tower_masks_and_crops():
    cfg = load("DF2S2/DF2S2_R50.yaml")
    model = build_model(cfg)
    assert type(model.backbone.neck).__name__ == "FFP"
    assert type(model.shot.head) is TowerHead
    assert model.shot.head.mask_logits is not None
    assert model.shot.mask_weight == 0.05
    crop, *others = build_augmentations(cfg, True)
    assert (type(crop.aug), crop.prob) == (RandomSquareCrop, 1.0)
    names = [type(augmentation).__name__ for augmentation in others]
    assert names == ["Resize", "RandomFlip", "PhotometricDistortion"]


def test_the_shot_that_detects_leads_the_training_of_a_small_dsfd():
    """Else its backbone learns for a shot that is thrown away, and the other one hardly learns."""
    cfg = load("DSFD/small/demo_R18.yaml")
    torch.manual_seed(0)
    model = build_model(cfg).train()
    faces = scenes.random_faces(np.random.default_rng(0), 12, (256, 256), sides=(8, 60))
    losses = model([make_input(256, 256, faces.tolist())])
    parameters = list(model.backbone.bottom_up.network.parameters())
    norms = {}
    for is_first in (True, False):
        chosen = [loss for name, loss in losses.items() if name.endswith("first_shot") == is_first]
        gradients = torch.autograd.grad(sum(chosen), parameters, retain_graph=True)
        norms[is_first] = torch.nn.utils.get_total_norm(gradients)
    assert norms[False] > 2 * norms[True]
