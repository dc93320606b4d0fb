from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from df2s2_d2.formats.coco_json import read_images
from tests.formats.annotation_texts import COCO_IMAGES as IMAGES

BOX = [1, 2, 3, 4]


@pytest.fixture
def write(tmp_path):
    def write(content) -> str:
        path = tmp_path / "faces.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def test_boxes_come_as_they_stand_in_the_order_of_the_images(write):
    annotations = [
        {"image_id": 3, "bbox": [1, 2, 3, 4.5], "category_id": 90},
        {"image_id": 3, "bbox": [1, 2, 3, 0]},
        {"image_id": 3, "bbox": [0, 0, 2, 2], "iscrowd": 1},
    ]
    first, second = read_images(write({"images": IMAGES, "annotations": annotations}))
    assert (first.path, first.size, first.boxes.shape) == ("x/b.jpg", None, (0, 4))
    assert (second.path, second.size) == ("a.png", (5, 6))
    np.testing.assert_array_equal(second.boxes, [[1, 2, 3, 4.5], [1, 2, 3, 0], [0, 0, 2, 2]])
    np.testing.assert_array_equal(second.ignored, [False, False, True])


def test_images_without_a_list_of_annotations_have_no_boxes(write):
    assert [image.boxes for image in read_images(write({"images": IMAGES}))] == [None, None]


def test_one_image_is_known_by_whatever_path(write):
    images = [{"id": 1, "file_name": "x/b.jpg"}, {"id": 2, "file_name": "/data/x/b.jpg"}]
    path = write({"images": images})
    assert len(read_images(path)) == 2
    with pytest.raises(ValueError, match=r"images\[1\]: expected a .file_name. that differs"):
        read_images(path, "/data")


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
    np.testing.assert_array_equal(read_images(path)[1].ignored, [bool(is_set)])


def test_ids_written_as_floats_belong_together(write):
    images = [{"id": 1.0, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    annotations = [{"image_id": i, "bbox": [0, 0, i, i]} for i in (1, 2.0)]
    found = read_images(write({"images": images, "annotations": annotations}))
    assert [image.boxes[0, 2] for image in found] == [1, 2]


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
        images = read_images(write(content))
    assert len(images[1].boxes) == len(used)
    assert words in caplog.text if words else not caplog.text


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{"images": [\n  {"id": 1 2}\n]}', ", line 2, column 12: "),
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
        read_images(path)
    assert str(error.value).startswith(path + place)
    assert "expected" in str(error.value)


def test_each_box_knows_its_place_in_the_list(write):
    annotations = [{"image_id": key, "bbox": BOX} for key in (3, 1, 3)]
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}]
    first, second = read_images(write({"images": images, "annotations": annotations}))
    assert (first.places.tolist(), second.places.tolist()) == ([1], [0, 2])


@pytest.mark.parametrize("value", [True, 10**400, "1", [1]])
def test_values_of_other_kinds_are_no_coordinates(write, value):
    annotation = {"image_id": 3, "bbox": [1, 2, value, 4]}
    with pytest.raises(ValueError, match=r"annotations\[0\]: expected"):
        read_images(write({"images": IMAGES, "annotations": [annotation]}))


@pytest.mark.parametrize("value", [10**400, [[[[[[]]]]]], {"a": 1}])
def test_sizes_and_flags_of_other_kinds_are_named(write, value):
    image = {"id": 3, "file_name": "a.jpg", "height": value, "width": 3}
    with pytest.raises(ValueError, match=r'images\[0\]: expected "height" in pixels'):
        read_images(write({"images": [image], "annotations": []}))
    annotation = {"image_id": 3, "bbox": BOX, "iscrowd": value}
    with pytest.raises(ValueError, match=r'annotations\[0\]: expected "iscrowd" as 0 or 1'):
        read_images(write({"images": IMAGES, "annotations": [annotation]}))
