from __future__ import annotations

import json

import pytest
from detectron2.structures import BoxMode

from df2s2_d2.data.datasets import load_coco_boxes
from tests.formats.annotation_texts import COCO_IMAGES as IMAGES


@pytest.fixture
def write(tmp_path):
    def write(content) -> str:
        path = tmp_path / "faces.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def face(box: list[float], iscrowd: int) -> dict:
    return {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0, "iscrowd": iscrowd}


def test_boxes_alone_are_enough_and_every_category_is_a_face(write):
    annotations = [
        {"image_id": 3, "bbox": [1, 2, 3, 4.5], "category_id": 90},
        {"image_id": 3, "bbox": [1, 2, 3, 0]},
        {"image_id": 3, "bbox": [0, 0, 2, 2], "iscrowd": 1},
        {"image_id": 3, "bbox": [0, 0, 3, 3], "ignore": 1, "iscrowd": 0},
    ]
    assert load_coco_boxes("images", write({"images": IMAGES, "annotations": annotations})) == [
        {"file_name": "images/x/b.jpg", "image_id": "x/b", "annotations": []},
        {
            "file_name": "images/a.png",
            "image_id": "a",
            "height": 5,
            "width": 6,
            "annotations": [
                face([1.0, 2.0, 4.0, 6.5], 0),
                face([0.0, 0.0, 2.0, 2.0], 1),
                face([0.0, 0.0, 3.0, 3.0], 1),
            ],
        },
    ]


def test_images_without_a_list_of_annotations_are_for_testing(write):
    records = load_coco_boxes("images", write({"images": IMAGES}))
    assert [record["image_id"] for record in records] == ["x/b", "a"]
    assert not any("annotations" in record for record in records)


@pytest.mark.parametrize(
    ("size", "stated"),
    [
        ({"height": 5, "width": 6}, (5, 6)),
        ({"height": "5", "width": "6"}, (5, 6)),
        ({"height": 5.0, "width": 6.0}, (5, 6)),
        ({"height": None, "width": None}, None),
        ({"height": 0, "width": 0}, None),
        ({"width": 6}, None),
    ],
)
def test_sizes_are_numbers_or_left_to_the_image(write, size, stated):
    (record,) = load_coco_boxes("images", write({"images": [{"id": 1, "file_name": "a", **size}]}))
    assert tuple(record.get(side) for side in ("height", "width")) == (stated or (None, None))
