"""The whole detector, in training and at inference."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from detectron2.structures import ImageList
from torch import nn

from df2s2_d2.modeling.targets import BACKGROUND, IGNORED, POSITIVE, GroundTruth
from tests.modeling import scenes

DF2S2 = "DF2S2/DF2S2_R50.yaml"
PAL = "DF2S2/DF2S2_R50_PAL.yaml"
RETINANET = "DF2S2/ablations/RetinaNet_R50.yaml"
SEGMENTING_RETINANET = "DF2S2/ablations/Seg_R50.yaml"

FACES = [[20, 30, 60, 80], [70, 10, 76, 18], [4, 2, 124, 126]]
# Every anchor starts as likely a face as not, so that random weights detect something.
UNDECIDED = ("MODEL.SHOT.HEAD.PRIOR_PROB", 0.5)


def train(detector: nn.Module, batch: list[dict]) -> dict[str, torch.Tensor]:
    losses = detector.train()(batch)
    detector.zero_grad()
    sum(losses.values()).backward()
    return losses


def detect(detector: nn.Module, batch: list[dict]) -> list:
    with torch.no_grad():
        return [output["instances"] for output in detector.eval()(batch)]


def without_gradient(detector: nn.Module) -> set[str]:
    """Trainable parameters whose gradient is zero; every gradient must exist and be finite."""
    zero = set()
    for name, parameter in detector.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            if not parameter.grad.any():
                zero.add(name)
    return zero


@pytest.mark.parametrize("config_file", [DF2S2, PAL, RETINANET, SEGMENTING_RETINANET])
def test_every_parameter_gets_a_gradient(tiny_detector, config_file):
    detector = tiny_detector(config_file)
    losses = train(detector, [scenes.mapped_image((128, 128), FACES)])
    names = {"loss_cls", "loss_box_reg"} | ({"loss_mask"} if config_file != RETINANET else set())
    if config_file == PAL:
        names |= {"loss_cls_first_shot", "loss_box_reg_first_shot"}
    assert set(losses) == names
    assert not without_gradient(detector)


@pytest.mark.parametrize("config_file", [DF2S2, PAL, RETINANET, SEGMENTING_RETINANET])
def test_without_faces_all_but_regression_gets_a_gradient(tiny_detector, config_file):
    detector = tiny_detector(config_file)
    train(detector, [scenes.mapped_image((128, 128))])
    regression = {
        name
        for name, _ in detector.named_parameters()
        if "box_deltas" in name or "box_tower" in name
    }
    assert without_gradient(detector) == regression


@pytest.mark.parametrize(
    "options",
    [
        ("MODEL.FFP.OUT_CHANNELS", 16),
        ("MODEL.FFP.KERNEL_SIZE", 4, "MODEL.FFP.ACTIVATION", "sigmoid", "MODEL.FFP.NORM", "BN"),
        ("MODEL.SHOT.HEAD.ENTRY", "unshared"),
        ("MODEL.SHOT.HEAD.NAME", "RetinaNetHead"),
        ("MODEL.SHOT.LOSS.NORMALIZER", "literal"),
        ("MODEL.SHOT.WEAK_MASK.ASSIGNMENT", "scale"),
    ],
    ids=lambda options: options[0],
)
def test_every_parameter_gets_a_gradient_with_other_options(tiny_detector, options):
    detector = tiny_detector(DF2S2, *options)
    batch = [
        scenes.mapped_image((128, 128), FACES),
        scenes.mapped_image((100, 128), [], seed=1),
    ]
    train(detector, batch)
    assert not without_gradient(detector)


def test_at_inference_neither_masks_nor_the_first_shot_run(tiny_detector):
    detector, calls = tiny_detector(PAL), Counter()
    for name, module in detector.named_modules():
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    batch = [scenes.mapped_image((128, 128), FACES)]

    def ran(part: str) -> bool:
        return any(part in name for name in calls)

    train(detector, batch)
    assert ran("mask_logits") and ran("first_shot")
    calls.clear()
    detect(detector, batch)
    assert ran("face_logits")
    assert not ran("mask_logits") and not ran("first_shot")


@pytest.mark.parametrize("part", ["face_logits", "box_deltas"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_an_error_not_an_image_without_faces(tiny_detector, part, value):
    detector = tiny_detector(DF2S2)
    nn.init.constant_(getattr(detector.shot.head, part).bias, value)
    with pytest.raises(
        FloatingPointError, match=f"not finite, first in its layer head.head.{part}"
    ):
        detect(detector, [scenes.mapped_image((128, 128))])


def test_at_inference_their_weights_do_not_matter(tiny_detector):
    detector = tiny_detector(PAL, *UNDECIDED)
    batch = [scenes.mapped_image((128, 128))]
    before = detect(detector, batch)[0]
    assert len(before)
    for name, parameter in detector.named_parameters():
        if "mask_logits" in name or "first_shot" in name:
            nn.init.constant_(parameter, torch.nan)
    after = detect(detector, batch)[0]
    assert torch.equal(before.scores, after.scores)
    assert torch.equal(before.pred_boxes.tensor, after.pred_boxes.tensor)


def targets(detector: nn.Module, batch: list[dict]):
    """Grids, matches and mask targets of the detector's shot for a batch."""
    images = ImageList.from_tensors(
        [inputs["image"] for inputs in batch], detector.backbone.size_divisibility
    )
    truth = GroundTruth.from_batch(batch, images.image_sizes, torch.device("cpu"))
    shot = detector.shot
    shapes = detector.backbone.output_shape()
    strides = [shapes[name].stride for name in shot.in_features]
    grids = shot.anchor_generator.grids(scenes.map_sizes(images.tensor.shape[-2:], strides))
    matches = shot.target_rule.match(grids, truth)
    return grids, matches, shot.target_rule.masks(grids, matches, truth)


def test_batching_changes_no_target(tiny_detector):
    detector = tiny_detector()
    small = scenes.mapped_image((100, 75), [[20, 30, 60, 80], [70, 10, 75, 18]], [[0, 60, 30, 99]])
    large = scenes.mapped_image((200, 300), [[150, 20, 280, 190]])
    alone, together = targets(detector, [small]), targets(detector, [large, small])
    rows_alone = alone[1].labels[0].split([len(grid) for grid in alone[0]])
    rows_together = together[1].labels[1].split([len(grid) for grid in together[0]])
    faces_alone = alone[1].faces[0].split([len(grid) for grid in alone[0]])
    faces_together = together[1].faces[1].split([len(grid) for grid in together[0]])
    found = 0
    for level, (grid, padded) in enumerate(zip(alone[0], together[0], strict=True)):

        def cells(rows, grid=grid, padded=padded):
            return rows.view(padded.height, padded.width, -1)[: grid.height, : grid.width]

        labels = rows_alone[level].view(grid.height, grid.width, -1)
        assert torch.equal(labels, cells(rows_together[level]))
        positive = labels == POSITIVE
        own_faces = faces_alone[level].view_as(labels)[positive]
        # The large image's face comes first in the batch.
        assert torch.equal(own_faces + 1, cells(faces_together[level])[positive])
        found += positive.sum()

        beyond = rows_together[level].view(padded.height, padded.width, -1).clone()
        beyond[: grid.height, : grid.width] = IGNORED
        assert (beyond == IGNORED).all()

        for part in ("mask", "participating"):
            single = getattr(alone[2][level], part)[0]
            batched = getattr(together[2][level], part)[1].clone()
            assert torch.equal(single, batched[: grid.height, : grid.width])
            batched[: grid.height, : grid.width] = False
            assert not batched.any()
    assert found


def test_nothing_is_to_be_found_in_the_padding(tiny_detector):
    size = (70, 101)
    batch = [scenes.mapped_image(size, [[80, 40, 101, 70], [0, 60, 10, 70], [30, 0, 101, 70]])]
    grids, matches, mask_targets = targets(tiny_detector(), batch)
    centers = torch.cat([(grid.boxes()[:, :2] + grid.boxes()[:, 2:]) / 2 for grid in grids])
    in_padding = (centers[:, 0] >= size[1]) | (centers[:, 1] >= size[0])
    assert in_padding.any() and (matches.labels[0][in_padding] == IGNORED).all()
    assert (matches.labels[0][~in_padding] == POSITIVE).any()
    for grid, target in zip(grids, mask_targets, strict=True):
        xs, ys = grid.centers()
        inside = (ys < size[0])[:, None] & (xs < size[1])
        assert torch.equal(target.participating[0], inside)
        assert not (target.mask[0] & ~inside).any()


@pytest.mark.parametrize("config_file", [DF2S2, RETINANET])
def test_detections_lie_in_their_image_by_descending_score(tiny_detector, config_file):
    detector = tiny_detector(config_file, *UNDECIDED, "TEST.DETECTIONS_PER_IMAGE", 20)
    sizes = [(90, 70), (128, 200)]
    outputs = detect(detector, [scenes.mapped_image(size) for size in sizes])
    for instances, (height, width) in zip(outputs, sizes, strict=True):
        assert 0 < len(instances) <= 20
        assert instances.image_size == (height, width)
        boxes, scores = instances.pred_boxes.tensor, instances.scores
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height, width, height])).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (scores[:-1] >= scores[1:]).all()
        assert (instances.pred_classes == 0).all()


def test_detections_are_scaled_to_the_wanted_output(tiny_detector):
    detector = tiny_detector(DF2S2, *UNDECIDED)
    image = scenes.mapped_image((128, 96))
    plain, scaled = (
        detect(detector, [inputs])[0] for inputs in (image, {**image, "height": 256, "width": 288})
    )
    assert scaled.image_size == (256, 288)
    expected = plain.pred_boxes.tensor * torch.tensor([3, 2, 3, 2])
    torch.testing.assert_close(scaled.pred_boxes.tensor, expected)


def test_scores_below_the_threshold_are_not_given(tiny_detector):
    threshold = ("MODEL.FACE_DETECTOR.SCORE_THRESH_TEST", 0.6)
    detector = tiny_detector(DF2S2, *UNDECIDED, *threshold)
    assert all(score > 0.6 for score in detect(detector, [scenes.mapped_image((64, 64))])[0].scores)
    detector.score_threshold = 1.0
    assert len(detect(detector, [scenes.mapped_image((64, 64))])[0]) == 0


@pytest.mark.parametrize("config_file", [DF2S2, PAL, RETINANET])
@pytest.mark.parametrize("size", [(40, 30), (7, 90)])
def test_tiny_images(tiny_detector, config_file, size):
    detector = tiny_detector(config_file, *UNDECIDED)
    batch = [scenes.mapped_image(size, [[2, 1, 28, 6]]), scenes.mapped_image(size, seed=1)]
    losses = train(detector, batch)
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    for instances in detect(detector, batch):
        boxes = instances.pred_boxes.tensor
        assert len(boxes)
        assert (boxes.amax(dim=0) <= torch.tensor([size[1], size[0]] * 2)).all()


def test_boxes_without_an_area_make_nothing_positive(tiny_detector):
    detector = tiny_detector()
    nothing = scenes.mapped_image((128, 128))
    degenerate = scenes.mapped_image((128, 128), [[5, 5, 5, 9], [40, 40, 40, 40], [9, 9, 3, 3]])
    for image in (nothing, degenerate):
        _, matches, mask_targets = targets(detector, [image])
        assert (matches.labels == BACKGROUND).all()
        assert not any(target.mask.any() for target in mask_targets)
    expected, losses = train(detector, [nothing]), train(detector, [degenerate])
    for name, loss in expected.items():
        assert losses[name].item() == pytest.approx(loss.item())


def test_ignored_regions_reach_the_losses(tiny_detector):
    detector = tiny_detector()
    plain = train(detector, [scenes.mapped_image((128, 128), FACES)])
    regions = [[64, 64, 128, 128]]
    ignoring = train(detector, [scenes.mapped_image((128, 128), FACES, regions)])
    assert ignoring["loss_cls"] < plain["loss_cls"]
    assert ignoring["loss_mask"] != plain["loss_mask"]
    assert ignoring["loss_box_reg"].item() == pytest.approx(plain["loss_box_reg"].item())


def test_the_first_shot_matches_anchors_of_half_the_size(tiny_detector):
    detector = tiny_detector(PAL)
    for first, second in zip(
        detector.first_shot.anchor_generator.sizes,
        detector.shot.anchor_generator.sizes,
        strict=True,
    ):
        assert [2 * size for size in first] == pytest.approx(second)
    assert detector.first_shot.in_features == ["c2", "c3", "c4", "c5", "c6", "c7"]


def test_the_first_shot_weighs_what_its_key_says(tiny_detector):
    batch = [scenes.mapped_image((128, 128), FACES)]
    full = train(tiny_detector(PAL), batch)
    half = train(tiny_detector(PAL, "MODEL.FIRST_SHOT.LOSS_WEIGHT", 0.5), batch)
    for name, loss in full.items():
        factor = 0.5 if name.endswith("_first_shot") else 1.0
        assert half[name].item() == pytest.approx(factor * loss.item(), rel=1e-5)
