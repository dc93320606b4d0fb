"""The sizes that a config asks for."""

from __future__ import annotations

import pytest
import torch
from detectron2.structures import Boxes, Instances

from df2s2_d2 import load_config
from df2s2_d2.modeling.multi_scale.image_scales import ImageScale, image_scales


def scales_of(**keys) -> list[ImageScale]:
    pairs = {"MAX_SIZE": 0, **keys}
    overrides = [part for key, value in pairs.items() for part in (f"TEST.AUG.{key}", value)]
    return image_scales(load_config("", overrides))


def test_short_sides_share_the_flip():
    assert scales_of(MIN_SIZES=(600, 800), FLIP=True) == [
        ImageScale(short_side=600, flip=True),
        ImageScale(short_side=800, flip=True),
    ]
    assert [scale.flip for scale in scales_of(MIN_SIZES=(600,), FLIP=False)] == [False]


def test_list_of_scales_goes_before_short_sides():
    entries = [{"FACTOR": 1, "FLIP": True}, {"SHORT_SIDE": 300, "MIN_FACE": 30, "MAX_FACE": 90.5}]
    scales = scales_of(SCALES=entries, MIN_SIZES=(600,))
    assert scales == [
        ImageScale(factor=1, flip=True),
        ImageScale(short_side=300, min_face=30, max_face=90.5),
    ]
    assert [str(scale) for scale in scales] == ["x1", "300 (faces > 30 and < 90.5 px)"]


def test_command_line_gives_a_list():
    cfg = load_config("", ["TEST.AUG.SCALES", "[{'FACTOR': 0.5}, {'SHORT_SIDE': 288}]"])
    assert [str(s) for s in image_scales(cfg)] == [
        f"{s} (long side <= 4000)" for s in ("x0.5", 288)
    ]


def test_sizes_by_hand():
    assert ImageScale(short_side=600).resized((768, 1024)) == (600, 800)
    assert ImageScale(short_side=600).resized((1024, 768)) == (800, 600)
    assert ImageScale(short_side=600, max_size=400).resized((768, 1024)) == (300, 400)
    assert ImageScale(factor=0.5).resized((101, 99)) == (51, 50)  # rounded half up
    assert ImageScale(factor=1.0).resized((333, 777)) == (333, 777)
    assert ImageScale(factor=0.01).resized((9, 400)) == (1, 4)


def test_limits_are_on_the_root_of_the_area():
    boxes = torch.tensor([[0.0, 0, 30, 30], [0, 0, 10, 91], [0, 0, 100, 100], [5, 5, 105, 104]])
    instances = Instances((200, 200), pred_boxes=Boxes(boxes))
    kept = ImageScale(factor=1, min_face=30, max_face=100).limit(instances)
    assert kept.pred_boxes.tensor.tolist() == [boxes[1].tolist(), boxes[3].tolist()]
    assert len(ImageScale(factor=1).limit(instances)) == 4


@pytest.mark.parametrize(
    "entry, part",
    [
        ({"FLIP": True}, "expected SHORT_SIDE or FACTOR"),
        ({"SHORT_SIDE": 300, "FACTOR": 1.0}, "expected SHORT_SIDE or FACTOR"),
        ({"FACTOR": 1.0, "MINFACE": 3}, "MINFACE"),
        (0.5, "found 0.5"),
        ({"FACTOR": -1.0}, "FACTOR is a positive number"),
        ({"FACTOR": "1.0"}, "FACTOR is a positive number"),
        ({"SHORT_SIDE": 300.5}, "SHORT_SIDE is a positive whole number"),
        ({"SHORT_SIDE": 300, "FLIP": 1}, "FLIP is True or False"),
        ({"FACTOR": 1.0, "MIN_FACE": 90, "MAX_FACE": 30}, "no face is larger"),
    ],
)
def test_wrong_entry_is_named(entry, part):
    with pytest.raises(ValueError, match=r"TEST\.AUG\.SCALES\[1\]") as caught:
        scales_of(SCALES=[{"FACTOR": 1.0}, entry])
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_short_side_and_no_scale_at_all_are_named():
    with pytest.raises(ValueError, match=r"TEST\.AUG\.MIN_SIZES\[0\]"):
        scales_of(MIN_SIZES=(-600,))
    with pytest.raises(ValueError, match="are empty"):
        scales_of(MIN_SIZES=())
