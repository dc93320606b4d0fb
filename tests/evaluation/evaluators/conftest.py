"""Data sets that evaluators score."""

from __future__ import annotations

import json

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from df2s2_d2.data import register_wider_face
from tests.evaluation.evaluators.official_files import official_files


@pytest.fixture
def register(tmp_path):
    """Function that registers a data set, which is forgotten after the test."""
    names = []

    def register(**files) -> str:
        names.append(f"evaluated_{len(names)}")
        register_wider_face(names[-1], **files)
        return names[-1]

    yield register
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def drawn_val(register, sample_dataset):
    """Name of the drawn validation images, with the lists of the official tools."""
    return register(**official_files(sample_dataset, "val"))


@pytest.fixture
def own_data(register, tmp_path):
    """Name of two images in COCO JSON: faces of heights 60, 35, 12 and 8, and one to be ignored."""
    boxes = [[0, 0, 50, 60], [100, 0, 30, 35], [200, 0, 10, 12], [300, 0, 7, 8], [0, 200, 90, 90]]
    content = {
        "images": [{"id": 1, "file_name": "street/a.jpg"}, {"id": 2, "file_name": "street/b.jpg"}],
        "annotations": [
            {"id": i, "image_id": 1, "bbox": box, "iscrowd": int(i == 4)}
            for i, box in enumerate(boxes)
        ],
    }
    annotation_file = tmp_path / "own.json"
    annotation_file.write_text(json.dumps(content))
    return register(image_dir=tmp_path, annotation_file=annotation_file)
