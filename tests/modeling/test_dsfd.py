"""DSFD as its config builds it: anchors, shots, losses and the rules of inference."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from df2s2_d2.modeling.heads import SSDHead
from df2s2_d2.modeling.losses import MinedSoftmaxLoss
from df2s2_d2.modeling.necks import FEM
from df2s2_d2.modeling.targets import GroundTruth
from tests.modeling import scenes

CONFIG = "DSFD/Base-DSFD.yaml"
FACES = [[10.3, 12.1, 33.2, 44.9], [60.4, 50.7, 121.3, 127.2], [5.1, 80.6, 12.4, 90.7]]


@pytest.fixture
def detector(tiny_detector):
    return tiny_detector(CONFIG)


def grids_at_640(shot) -> list:
    return shot.anchor_generator.grids(scenes.map_sizes((640, 640)))


def test_parts(detector):
    assert isinstance(detector.backbone.neck, FEM)
    for shot, letter in ((detector.shot, "p"), (detector.first_shot, "c")):
        assert isinstance(shot.head, SSDHead)
        assert isinstance(shot.classification_loss, MinedSoftmaxLoss)
        assert shot.in_features == [f"{letter}{level}" for level in range(2, 8)]
        assert shot.box2box_transform.weights == (10.0, 10.0, 5.0, 5.0)
        assert shot.smooth_l1_beta == 1.0


def test_anchors_of_both_shots(detector):
    second, first = grids_at_640(detector.shot), grids_at_640(detector.first_shot)
    assert sum(map(len, second)) == sum(map(len, first)) == 34125
    for level, (grid, small) in enumerate(zip(second, first, strict=True)):
        width, height = grid.shapes[0].tolist()
        assert len(grid.shapes) == 1
        assert height / width == pytest.approx(1.5)
        assert (width * height) ** 0.5 == pytest.approx(16 * 2**level)
        torch.testing.assert_close(small.shapes * 2, grid.shapes)
        assert all(torch.equal(a, b) for a, b in zip(grid.centers(), small.centers(), strict=True))
    assert second[0].shapes[0].tolist() == pytest.approx([13.06, 19.60], abs=0.005)
    torch.testing.assert_close(
        second[0].boxes()[0, :2] + second[0].boxes()[0, 2:], torch.full((2,), 4.0)
    )


def test_anchors_from_an_overlap_of_two_fifths_are_positive_and_all_others_background(detector):
    matches = detector.shot.target_rule.match(
        grids_at_640(detector.shot),
        # 13.06 x 19.60 around the centre of cell (10, 10), and so on: the second is 2.5 as large.
        ground_truth=ground_truth([[35.468, 32.202, 48.532, 51.798], [100, 100, 300, 420]]),
    )
    assert set(matches.labels.unique().tolist()) == {0, 1}


def ground_truth(faces):
    boxes, images = scenes.flat([torch.tensor(faces).numpy()])
    regions = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    return GroundTruth(boxes, images, *regions, torch.tensor([[640, 640]]))


def test_each_shot_matches_faces_of_its_own_size(detector):
    face = ground_truth([[300.0, 300.0, 313.0, 319.6]])  # an anchor of the second shot's c2
    second = detector.shot.target_rule.match(grids_at_640(detector.shot), face)
    first = detector.first_shot.target_rule.match(grids_at_640(detector.first_shot), face)
    cells = 160 * 160
    assert second.labels[0, :cells].sum() > 0 and second.labels[0, cells:].sum() == 0
    assert first.labels[0, cells:].sum() > 0  # 16 px are an anchor of its second level


def test_progressive_anchor_loss_is_a_weighted_sum(tiny_detector):
    batch = [scenes.mapped_image((128, 256), FACES), scenes.mapped_image((128, 256))]
    plain, weighted = (
        tiny_detector(CONFIG, "MODEL.FIRST_SHOT.LOSS_WEIGHT", weight).train()(batch)
        for weight in (1.0, 0.3)
    )
    names = {"loss_cls", "loss_box_reg", "loss_cls_first_shot", "loss_box_reg_first_shot"}
    assert plain.keys() == weighted.keys() == names
    for name in names:
        factor = 0.3 if name.endswith("first_shot") else 1.0
        assert weighted[name].item() == pytest.approx(factor * plain[name].item(), rel=1e-4)


def test_the_first_shot_is_not_needed_at_inference(detector):
    detector.eval()
    batch = [scenes.mapped_image((128, 160))]
    with torch.no_grad():
        before = detector(batch)[0]["instances"]
        for parameter in detector.first_shot.parameters():
            nn.init.constant_(parameter, torch.nan)
        after = detector(batch)[0]["instances"]
    assert len(before) > 0
    assert torch.equal(before.pred_boxes.tensor, after.pred_boxes.tensor)
    assert torch.equal(before.scores, after.scores)


def test_boxes_end_on_whole_pixels_inside_the_image(detector):
    detector.eval()
    batch = [{**scenes.mapped_image((128, 160)), "height": 200, "width": 250}]
    with torch.no_grad():
        boxes = detector(batch)[0]["instances"].pred_boxes.tensor
    assert len(boxes) > 0
    assert torch.equal(boxes, boxes.round())
    assert (boxes >= 0).all() and (boxes <= torch.tensor([250, 200, 250, 200])).all()


def test_an_image_without_faces_teaches_classification_only(detector):
    losses = detector.train()([scenes.mapped_image((128, 256))])
    for suffix in ("", "_first_shot"):
        assert losses[f"loss_cls{suffix}"].item() > 0.1
        assert losses[f"loss_box_reg{suffix}"].item() == 0
