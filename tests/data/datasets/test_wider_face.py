from __future__ import annotations

import pytest
from detectron2.structures import BoxMode

from df2s2_d2.data.datasets import load_wider_face
from tests.formats.annotation_texts import WIDER_FACE_TEXT as TEXT


def test_dataset_dicts_drop_boxes_without_area_and_mark_invalid_ones(tmp_path, caplog):
    path = tmp_path / "faces.txt"
    path.write_text(TEXT)
    with caplog.at_level("INFO", logger="df2s2_d2.data.datasets"):
        first, second, third = load_wider_face("images", str(path))
    assert first == {
        "file_name": "images/0--Parade/a.jpg",
        "image_id": "0--Parade/a",
        "annotations": [
            {
                "bbox": [10.0, 20.0, 40.0, 60.0],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 0,
                "iscrowd": 0,
                "blur": 2,
                "expression": 1,
                "illumination": 0,
                "occlusion": 1,
                "pose": 0,
            },
            {
                "bbox": [-3.0, 4.0, 5.5, 13.0],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 0,
                "iscrowd": 1,
                "blur": 0,
                "expression": 0,
                "illumination": 1,
                "occlusion": 2,
                "pose": 1,
            },
        ],
    }
    assert second["annotations"] == third["annotations"] == []
    assert "3 images, 2 boxes; dropped 2 more" in caplog.text


def test_images_of_a_file_list_have_no_annotations(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("0--Parade/a.jpg\n1--Handshaking/b.jpg\n")
    assert load_wider_face("images", str(path)) == [
        {"file_name": "images/0--Parade/a.jpg", "image_id": "0--Parade/a"},
        {"file_name": "images/1--Handshaking/b.jpg", "image_id": "1--Handshaking/b"},
    ]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("split", "num_images", "num_annotations", "num_invalid"),
    [("train", 12880, 159424 - 31, 0), ("val", 3226, 39708 - 11, 585)],
)
def test_official_annotations(shared_data, split, num_images, num_annotations, num_invalid):
    path = str(shared_data / f"official/wider_face/wider_face_split/wider_face_{split}_bbx_gt.txt")
    # The folder of images does not exist: nothing is opened when annotations are loaded.
    records = load_wider_face("absent", path)
    assert len(records) == num_images
    annotations = [annotation for record in records for annotation in record["annotations"]]
    assert len(annotations) == num_annotations
    assert sum(annotation["iscrowd"] for annotation in annotations) == num_invalid
