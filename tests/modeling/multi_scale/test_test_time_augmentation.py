"""Test-time augmentation, on detectors whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from PIL import Image
from scipy import ndimage

from df2s2_d2 import load_config
from df2s2_d2.modeling import DenseDetectorWithTTA
from df2s2_d2.modeling.multi_scale.image_scales import ImageScale, image_scales
from df2s2_d2.training import Trainer, check_inputs, protocol_of
from tests.small_runs import registered, smallest_config, wider_face_files

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
HUGE = 10**9


class RectangleFinder(torch.nn.Module):
    """Finds bright rectangles on black; the brighter, the higher their score."""

    def __init__(self):
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.round_boxes_outward = False

    def forward(self, inputs: list[dict]) -> list[dict]:
        return [{"instances": self.find(one)} for one in inputs]

    def find(self, inputs: dict) -> Instances:
        assert inputs["image"].shape[1:] == (inputs["height"], inputs["width"])
        assert not self.round_boxes_outward
        self.seen.append(inputs["image"])
        image = inputs["image"][0].float().numpy()
        labels, _ = ndimage.label(image > 60)
        found = ndimage.find_objects(labels)
        boxes = [[x.start, y.start, x.stop, y.stop] for y, x in found]
        scores = [np.median(image[part]) / 256 for part in found]
        return Instances(
            image.shape,
            pred_boxes=Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
            scores=torch.tensor(scores, dtype=torch.float32),
            pred_classes=torch.zeros(len(boxes), dtype=torch.int64),
        )


def drawing(size: tuple[int, int], boxes: list[list[int]]) -> torch.Tensor:
    """(3, H, W) uint8: rectangles on black, each a little darker than the one before."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for index, (left, top, right, bottom) in enumerate(boxes):
        image[:, top:bottom, left:right] = 250 - 2 * index
    return image


def augmented(*scales: ImageScale, **options) -> DenseDetectorWithTTA:
    options = {"max_pixels": HUGE, "merge": "nms", **options}
    return DenseDetectorWithTTA(model=RectangleFinder(), scales=list(scales), **options)


def detect(detector, image) -> Instances:
    height, width = image.shape[1:]
    return detector([{"image": image, "height": height, "width": width}])[0]["instances"]


BOXES = [[3, 5, 40, 61], [100, 20, 130, 60], [60, 100, 180, 220], [230, 10, 239, 19]]
SIZE = (240, 250)


# Copies and their merge


@pytest.mark.parametrize("config", ["DF2S2/DF2S2_R50.yaml", "DSFD/DSFD_R50.yaml"])
@pytest.mark.parametrize("short_side", [96, 160])
def test_one_scale_without_flip_is_the_plain_detector(tiny_config, config, short_side):
    """DSFD's boxes are rounded outward, after the merge as after plain detection."""
    cfg = tiny_config(config, "TEST.AUG.MERGE", "nms")
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    model.score_threshold = 0.0
    image = np.random.default_rng(1).integers(0, 256, (120, 150, 3), dtype=np.uint8)
    height, width = ImageScale(short_side=short_side).resized((120, 150))
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    inputs = {"image": torch.from_numpy(resized.transpose(2, 0, 1).copy())}
    with torch.no_grad():
        plain = model([{**inputs, "height": 120, "width": 150}])[0]["instances"]
    assert len(plain) > 50
    cfg.merge_from_list(["TEST.AUG.SCALES", [{"SHORT_SIDE": short_side}]])
    detector = DenseDetectorWithTTA(cfg, model)
    found = detect(detector, torch.from_numpy(image.transpose(2, 0, 1).copy()))
    assert torch.equal(found.pred_boxes.tensor, plain.pred_boxes.tensor)
    assert torch.equal(found.scores, plain.scores)
    assert torch.equal(found.pred_classes, plain.pred_classes)
    assert found.image_size == (120, 150)
    assert model.round_boxes_outward == cfg.MODEL.FACE_DETECTOR.ROUND_OUTWARD


@pytest.mark.parametrize("merge", ["nms", "box_voting"])
def test_mirrored_copies_give_the_same_boxes(merge):
    plain = detect(augmented(ImageScale(factor=1)), drawing(SIZE, BOXES))
    assert plain.pred_boxes.tensor.tolist() == BOXES
    detector = augmented(ImageScale(factor=1, flip=True), merge=merge, keep_single_votes=False)
    mirrored = detect(detector, drawing(SIZE, BOXES))
    first, second = detector.model.seen
    assert torch.equal(second, first.flip(-1))
    assert torch.equal(mirrored.pred_boxes.tensor, plain.pred_boxes.tensor)
    assert torch.equal(mirrored.scores, plain.scores)


def test_factors_and_short_sides_resize_the_original_and_bring_boxes_back():
    detector = augmented(ImageScale(factor=2.0), ImageScale(short_side=120), merge="box_voting")
    found = detect(detector, drawing(SIZE, BOXES))
    assert [tuple(seen.shape[1:]) for seen in detector.model.seen] == [(480, 500), (120, 125)]
    assert len(found) == len(BOXES) and found.image_size == SIZE
    np.testing.assert_allclose(found.pred_boxes.tensor, BOXES, atol=1.5)


def test_faces_are_limited_in_pixels_of_the_original_image():
    boxes = [[10, 10, 30, 30], [50, 50, 90, 90], [100, 100, 220, 220]]  # 20, 40 and 120 px
    image = drawing((240, 240), boxes)

    def sizes(*scales):
        found = detect(augmented(*scales), image)
        # To tens: resizing blurs edges.
        return sorted((found.pred_boxes.area().sqrt() / 10).round().mul(10).int().tolist())

    assert sizes(ImageScale(factor=0.5, min_face=30)) == [40, 120]
    assert sizes(ImageScale(factor=2, max_face=100)) == [20, 40]
    assert sizes(ImageScale(factor=1, min_face=30, max_face=100)) == [40]
    assert sizes(ImageScale(factor=2, max_face=30), ImageScale(factor=0.5, min_face=30)) == [
        *(20, 40, 120)
    ]


def test_detections_are_limited_and_sorted_after_the_merge():
    found = detect(
        augmented(ImageScale(factor=1, flip=True), max_detections=2), drawing(SIZE, BOXES)
    )
    assert found.pred_boxes.tensor.tolist() == BOXES[:2]
    assert found.scores.tolist() == [250 / 256, 248 / 256]


def test_boxes_are_rounded_once_after_the_merge():
    detector = augmented(ImageScale(factor=1), ImageScale(factor=1.1))
    detector.model.round_boxes_outward = True  # the finder asserts that it is not asked to round
    found = detect(detector, drawing(SIZE, BOXES)).pred_boxes.tensor
    assert detector.model.round_boxes_outward
    assert torch.equal(found, found.round())


@pytest.mark.parametrize("merge", ["nms", "box_voting"])
def test_no_detection_is_no_error(merge):
    detector = augmented(ImageScale(factor=1, flip=True), ImageScale(factor=2), merge=merge)
    found = detect(detector, drawing((30, 40), []))
    assert len(found) == 0
    assert found.pred_boxes.tensor.shape == (0, 4) and found.image_size == (30, 40)


# The memory budget

FAR_AND_WIDE = [
    *[[left, top, left + 90, top + 60] for left in range(20, 1900, 173) for top in (30, 500, 1020)],
    *[[left, 300, left + 150, 470] for left in range(5, 1800, 217)],
]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scale", [ImageScale(factor=1), ImageScale(short_side=900)])
def test_tiles_give_the_boxes_of_the_whole_image(scale, flip):
    scale = ImageScale(scale.short_side, scale.factor, flip=flip)
    image = drawing((1100, 2000), FAR_AND_WIDE)
    options = {"size_divisibility": 128, "nms_threshold": 0.99}
    whole = detect(augmented(scale, **options), image)
    detector = augmented(scale, max_pixels=640 * 640, **options)
    tiled = detect(detector, image)
    assert len(detector.model.seen) >= 8 * (1 + flip)
    assert max(seen[0].numel() for seen in detector.model.seen) <= 640 * 640
    assert len(whole) == len(FAR_AND_WIDE)
    for one, other in ((whole, tiled), (tiled, whole)):
        distance = torch.cdist(one.pred_boxes.tensor, other.pred_boxes.tensor, p=1)
        assert distance.amin(dim=1).max() < 1e-3
    np.testing.assert_allclose(tiled.scores, whole.scores)


def test_face_that_every_tile_cuts_is_left_to_smaller_copies():
    face = [300, 100, 1500, 900]
    image = drawing((1100, 2000), [face])
    options = {"size_divisibility": 128, "max_pixels": 640 * 640}
    parts = detect(augmented(ImageScale(factor=1), **options), image)
    assert len(parts) > 1  # nothing else shows it
    one = detect(augmented(ImageScale(factor=1), ImageScale(factor=0.3), **options), image)
    assert len(one) == 1
    np.testing.assert_allclose(one.pred_boxes.tensor, [face], atol=4)


def test_enlarged_copies_above_the_budget_can_be_skipped():
    image = drawing((600, 700), BOXES)
    scales = [ImageScale(factor=factor) for factor in (0.5, 1, 1.5, 2)]
    options = {"over_budget": "skip", "max_pixels": 700 * 900}
    detector = augmented(*scales, **options)
    detect(detector, image)
    assert [tuple(seen.shape[1:]) for seen in detector.model.seen] == [(300, 350), (600, 700)]
    # The smallest is not skipped if nothing would be left.
    skipping = augmented(*scales[2:], **options)
    tiling = augmented(scales[2], max_pixels=options["max_pixels"])
    assert len(detect(skipping, image)) == len(detect(tiling, image)) == len(BOXES)
    shapes = [[seen.shape for seen in detector.model.seen] for detector in (skipping, tiling)]
    assert shapes[0] == shapes[1] and len(shapes[0]) > 1


# Inputs


def test_image_is_read_where_there_is_only_its_file(tmp_path):
    image = drawing(SIZE, BOXES)
    path = tmp_path / "drawing.png"
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    found = augmented(ImageScale(factor=1))([{"file_name": str(path)}])[0]["instances"]
    assert found.pred_boxes.tensor.tolist() == BOXES


def test_resized_image_is_refused():
    inputs = {"image": drawing((60, 80), []), "height": 120, "width": 160, "file_name": "a.jpg"}
    with pytest.raises(ValueError, match="a.jpg of 160 x 120 pixels came resized to 80 x 60"):
        augmented(ImageScale(factor=1))([inputs])


def test_model_keeps_its_mode():
    model = RectangleFinder().eval()
    assert not DenseDetectorWithTTA(model=model, scales=[], max_pixels=HUGE).training


def test_detectron2s_retinanet_is_augmented():
    overrides = ["MODEL.META_ARCHITECTURE", "RetinaNet", "MODEL.DEVICE", "cpu"]
    overrides += ["MODEL.BACKBONE.NAME", "build_retinanet_resnet_fpn_backbone"]
    overrides += ["MODEL.RESNETS.OUT_FEATURES", ["res3", "res4", "res5"]]
    overrides += ["MODEL.FPN.IN_FEATURES", ["res3", "res4", "res5"], "MODEL.FPN.OUT_CHANNELS", 16]
    overrides += ["MODEL.RESNETS.STEM_OUT_CHANNELS", 8, "MODEL.RESNETS.RES2_OUT_CHANNELS", 16]
    overrides += ["MODEL.RESNETS.WIDTH_PER_GROUP", 4, "MODEL.RETINANET.SCORE_THRESH_TEST", 0.0]
    overrides += ["MODEL.RETINANET.NUM_CLASSES", 3, "TEST.AUG.MERGE", "nms"]
    overrides += ["TEST.AUG.SCALES", [{"SHORT_SIDE": 100, "FLIP": True}, {"FACTOR": 0.5}]]
    cfg = load_config("", overrides)
    torch.manual_seed(0)
    detector = DenseDetectorWithTTA(cfg, build_model(cfg).eval())
    assert detector.nms_threshold == cfg.MODEL.RETINANET.NMS_THRESH_TEST
    found = detect(detector, torch.randint(0, 256, (3, 120, 150), dtype=torch.uint8))
    assert len(found) == 100
    assert len(found.pred_classes.unique()) > 1


# Configs


def test_presets_are_the_papers():
    df2s2 = load_config(str(CONFIGS / "DF2S2/DF2S2_R50.yaml"), ["TEST.AUG.ENABLED", True])
    sides = (600, 800, 1000, 1200, 1400)
    assert image_scales(df2s2) == [ImageScale(short_side=side, flip=True) for side in sides]
    line = protocol_of(df2s2).describe()
    assert line.startswith(
        "df2s2-multi-scale: multi-scale {600, 800, 1000, 1200, 1400} + flip, box "
    )
    dsfd = load_config(str(CONFIGS / "DSFD/DSFD_R50.yaml"), ["TEST.AUG.ENABLED", True])
    by_factor = {scale.factor: scale for scale in image_scales(dsfd)}
    assert sorted(by_factor) == [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25]
    assert [factor for factor, scale in by_factor.items() if scale.flip] == [1]
    for factor, scale in by_factor.items():
        limits = (30 if factor < 1 else 0, 100 if factor > 1 else float("inf"))
        assert (scale.min_face, scale.max_face) == limits
    line = protocol_of(dsfd).describe()
    assert line.startswith("dsfd-multi-scale: multi-scale {x1 + flip, x0.25 (faces > 30 px), ")


def test_without_augmentation_the_protocol_says_nothing_of_it():
    cfg = load_config(str(CONFIGS / "DF2S2/DF2S2_R50.yaml"))
    assert protocol_of(cfg).describe().startswith("df2s2-single-scale: short side 800, score")


@pytest.mark.parametrize(
    "key, value",
    [
        ("SCALES", [{"FACTOR": 0}]),
        ("MERGE", "average"),
        ("OVER_BUDGET", "fail"),
        ("VOTE_IOU", 0.0),
        ("TILE_OVERLAP", -1),
        ("MAX_PIXELS", 10_000),
    ],
)
def test_wrong_keys_are_found_before_a_run_starts(key, value):
    overrides = ["DATASETS.TRAIN", (), "DATASETS.TEST", (), f"TEST.AUG.{key}", value]
    with pytest.raises(ValueError, match=rf"TEST\.AUG\.{key}\b.*found") as caught:
        check_inputs(load_config("", overrides))
    assert "\n" not in str(caught.value)


def test_trainer_tests_with_augmentation(sample_dataset, tmp_path):
    """One copy at the size of the plain test gives the plain figures; two give others."""
    with registered(tta_val=wider_face_files(sample_dataset, "val")):
        results = {}
        for name, overrides in {
            "plain": {},
            "one copy": {"TEST__AUG__ENABLED": True, "TEST__AUG__MERGE": "nms"},
            "three copies": {
                "TEST__AUG__ENABLED": True,
                "TEST__AUG__SCALES": [{"SHORT_SIDE": 128, "FLIP": True}, {"FACTOR": 0.5}],
            },
        }.items():
            keys = {
                "DATASETS__TEST": ("tta_val",),
                "MODEL__FACE_DETECTOR__SCORE_THRESH_TEST": 0.0,
                "TEST__AUG__SCALES": [{"SHORT_SIDE": 128}],
                "TEST__AUG__MAX_SIZE": 0,
                "OUTPUT_DIR": str(tmp_path / name),
            }
            cfg = smallest_config(**keys | overrides)
            torch.manual_seed(0)
            model = build_model(cfg).eval()
            results[name] = Trainer.test(cfg, model)
            assert not model.training
        written = {
            name: sorted(
                (path.name, path.read_text()) for path in (tmp_path / name).rglob("*submission/*/*")
            )
            for name in results
        }
    assert len(written["plain"]) == 3 and all(text for _, text in written["plain"])
    assert written["one copy"] == written["plain"]
    assert written["three copies"] != written["plain"]
    assert results["three copies"]["wider_face"].keys() == results["plain"]["wider_face"].keys()
