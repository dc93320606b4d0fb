"""Every shipped config builds and trains; every row of the papers' tables is what it says."""

from __future__ import annotations

from pathlib import Path

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

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
ALL = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml"))
ABLATIONS = [name for name in ALL if "/ablations/" in name]

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


def load(name: str) -> CfgNode:
    return load_config(str(CONFIGS / name), ["MODEL.DEVICE", "cpu"])


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


@pytest.mark.parametrize("name", ALL)
def test_trains_every_parameter(name):
    cfg = load(name)
    torch.manual_seed(0)
    model = build_model(cfg).train()
    batch = [
        make_input(160, 128, [[3.0, 5, 123, 155], [70, 80, 120, 150], [3, 3, 12, 14]]),
        make_input(128, 160, []),
    ]
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
