from __future__ import annotations

import json
import logging

import pytest
from detectron2.structures import BoxMode

from df2s2_d2.data.datasets import load_coco_boxes

IMAGES = [
    {"id": 7, "file_name": "x/b.jpg"},
    {"id": 3, "file_name": "a.png", "height": 5, "width": 6},
]
BOX = [1, 2, 3, 4]


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


@pytest.mark.parametrize("flag", ["iscrowd", "ignore"])
@pytest.mark.parametrize(
    ("value", "is_set"),
    [
        *((value, 0) for value in (0, 0.0, False, None, "0", "False", "false", "")),
        *((value, 1) for value in (1, 1.0, True, "1", "True", "true")),
    ],
)
def test_flags_are_understood_also_as_text(write, flag, value, is_set):
    annotation = {"image_id": 3, "bbox": [1, 2, 3, 4], flag: value}
    path = write({"images": IMAGES, "annotations": [annotation]})
    assert load_coco_boxes("images", path)[1]["annotations"] == [face([1.0, 2.0, 4.0, 6.0], is_set)]


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


def test_ids_written_as_floats_belong_together(write):
    images = [{"id": 1.0, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    annotations = [{"image_id": i, "bbox": [0, 0, i, i]} for i in (1, 2.0)]
    records = load_coco_boxes("images", write({"images": images, "annotations": annotations}))
    assert [record["annotations"][0]["bbox"][2] for record in records] == [1, 2]


@pytest.mark.parametrize(
    ("categories", "used", "words"),
    [
        ([], [1, 1], None),
        ([], [1, 2, 2], "taken as faces: 1 of category 1, 2 of category 2."),
        ([{"id": 1, "name": "Face"}, {"id": 2, "name": "car"}], [1], None),
        ([{"id": 1, "name": "face"}, {"id": 2, "name": "car"}], [2], "1 of category 2 (car)."),
        ([{"id": 2, "name": "head"}], [2], None),
    ],
)
def test_categories_other_than_one_of_faces_are_warned_of(write, caplog, categories, used, words):
    annotations = [{"image_id": 3, "bbox": BOX, "category_id": i} for i in used]
    content = {"images": IMAGES, "annotations": annotations, "categories": categories}
    with caplog.at_level(logging.WARNING, "df2s2_d2"):
        records = load_coco_boxes("images", write(content))
    assert len(records[1]["annotations"]) == len(used)
    assert words in caplog.text if words else not caplog.text


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{"images": [\n  {"id": 1,}\n]}', ", line 2, column 12: "),
        ([], ": expected an object"),
        ({}, ', "images": expected a list, found nothing'),
        ({"images": []}, ', "images": expected images, found none'),
        ({"images": [{"id": 1}]}, ", images[0]: "),
        ({"images": [*IMAGES, {"id": 3, "file_name": "c.jpg"}]}, ", images[2]: "),
        ({"images": [*IMAGES, {"id": 4, "file_name": "a.jpg"}]}, ", images[2]: "),
        ({"images": IMAGES, "annotations": {}}, ', "annotations": expected a list, found dict'),
        ({"images": IMAGES, "annotations": [[1, 2, 3, 4]]}, ", annotations[0]: "),
        (
            {"images": IMAGES, "annotations": [{"image_id": 8, "bbox": [1, 2, 3, 4]}]},
            ', annotations[0]: expected the "id" of an image; found "image_id" 8.',
        ),
        ({"images": IMAGES, "annotations": [{"image_id": 3}]}, ", annotations[0]: "),
        (
            {"images": IMAGES, "annotations": [{"image_id": 3, "bbox": [1, 2, 3]}]},
            ", annotations[0]: ",
        ),
        (
            {"images": IMAGES, "annotations": [{"image_id": 3, "bbox": [1, 2, 3, float("nan")]}]},
            ", annotations[0]: ",
        ),
        (
            {"images": IMAGES, "annotations": [{"image_id": 3, "bbox": [1, 2, 10**400, 4]}]},
            ", annotations[0]: ",
        ),
        (
            {"images": IMAGES, "annotations": [{"image_id": 3, "bbox": [1, 2, 3, True]}]},
            ", annotations[0]: ",
        ),
        (
            {"images": IMAGES, "annotations": [{"image_id": 3, "bbox": BOX, "iscrowd": "maybe"}]},
            ', annotations[0]: expected "iscrowd" as 0 or 1',
        ),
        (
            {"images": IMAGES, "annotations": [{"image_id": 3, "bbox": BOX, "ignore": 2}]},
            ', annotations[0]: expected "ignore" as 0 or 1',
        ),
        (
            {"images": IMAGES, "annotations": [{"image_id": "3", "bbox": BOX}]},
            ', annotations[0]: expected the "id" of an image; found "image_id" \'3\': write both',
        ),
        ({"images": [{"id": True, "file_name": "a.jpg"}]}, ", images[0]: "),
        (
            {"images": [IMAGES[0], {"id": 8, "file_name": "x/b.png"}]},
            ', images[1]: expected a "file_name" that differs from that of images[0]',
        ),
        (
            {"images": [{"id": 1, "file_name": "a.jpg", "height": -5, "width": 6}]},
            ', images[0]: expected "height" in pixels',
        ),
        (
            {"images": [{"id": 1, "file_name": "a.jpg", "height": 5, "width": "wide"}]},
            ', images[0]: expected "width" in pixels',
        ),
    ],
)
def test_errors_name_file_and_place(write, content, place):
    path = write(content)
    with pytest.raises(ValueError) as error:
        load_coco_boxes("images", path)
    assert str(error.value).startswith(path + place)
    assert "expected" in str(error.value)
