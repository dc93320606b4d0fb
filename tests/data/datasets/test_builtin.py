from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader

from df2s2_d2.config import add_df2s2_config
from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.data.datasets import builtin, register_all_wider_face, register_wider_face

SPLITS = ("wider_face_train", "wider_face_val", "wider_face_test")


@pytest.fixture
def own_name():
    """A name that is free, and free again afterwards."""
    yield "own_faces"
    if "own_faces" in DatasetCatalog:
        DatasetCatalog.remove("own_faces")
        MetadataCatalog.remove("own_faces")


@pytest.fixture
def registered_under(tmp_path):
    """The three splits registered under an empty folder; what they were is restored."""
    before = {name: (DatasetCatalog.pop(name), MetadataCatalog.pop(name)) for name in SPLITS}
    register_all_wider_face(tmp_path)
    yield tmp_path
    for name, (loader, metadata) in before.items():
        DatasetCatalog[name], MetadataCatalog[name] = loader, metadata


def write_split(root, images, annotation_file, text):
    (root / "wider_face" / images).mkdir(parents=True)
    path = root / "wider_face/wider_face_split" / annotation_file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_loads_annotations_without_any_image_file(registered_under):
    write_split(
        registered_under, "WIDER_val/images", "wider_face_val_bbx_gt.txt", "e/a.jpg\n1\n1 2 3 4\n"
    )
    write_split(
        registered_under, "WIDER_test/images", "wider_face_test_filelist.txt", "e/b.jpg\ne/c.jpg\n"
    )
    (record,) = DatasetCatalog.get("wider_face_val")
    assert record["file_name"] == str(registered_under / "wider_face/WIDER_val/images/e/a.jpg")
    assert not os.path.exists(record["file_name"])
    assert record["annotations"][0]["bbox"] == [1, 2, 4, 6]
    test = DatasetCatalog.get("wider_face_test")
    assert [record["image_id"] for record in test] == ["e/b", "e/c"]
    assert "annotations" not in test[0]


def test_metadata(registered_under):
    base = registered_under / "wider_face"
    for name in SPLITS:
        metadata = MetadataCatalog.get(name)
        assert metadata.thing_classes == ["face"]
        assert metadata.evaluator_type == "wider_face"
    metadata = MetadataCatalog.get("wider_face_val")
    assert metadata.image_dir == str(base / "WIDER_val/images")
    assert metadata.annotation_file == str(base / "wider_face_split/wider_face_val_bbx_gt.txt")
    assert metadata.ground_truth_dir == str(base / "eval_tools/ground_truth")
    assert MetadataCatalog.get("wider_face_train").ground_truth_dir is None


def test_missing_files_are_told_with_path_and_remedy(registered_under):
    base = registered_under / "wider_face"
    with pytest.raises(FileNotFoundError) as error:
        DatasetCatalog.get("wider_face_train")
    for part in (
        str(base / "WIDER_train/images"),
        "DETECTRON2_DATASETS",
        "wider_face/WIDER_train/images/<event>/<image>.jpg",
    ):
        assert part in str(error.value)

    (base / "WIDER_train/images").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="annotation file") as error:
        DatasetCatalog.get("wider_face_train")
    assert str(base / "wider_face_split/wider_face_train_bbx_gt.txt") in str(error.value)
    assert "DETECTRON2_DATASETS" in str(error.value)


def test_importing_again_changes_nothing():
    before = {name: DatasetCatalog[name] for name in SPLITS}
    importlib.reload(builtin)
    assert {name: DatasetCatalog[name] for name in SPLITS} == before


def test_root_comes_from_the_environment(tmp_path):
    code = (
        "from detectron2.data import MetadataCatalog; import df2s2_d2.data; "
        "print(MetadataCatalog.get('wider_face_test').image_dir)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "DETECTRON2_DATASETS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == str(tmp_path / "wider_face/WIDER_test/images")


@pytest.mark.parametrize("file_name", ["faces.json", "faces.txt"])
def test_own_data_in_either_format(tmp_path, own_name, file_name):
    content = {
        "images": [{"id": 0, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 0, "bbox": [1, 2, 3, 4]}],
    }
    text = json.dumps(content) if file_name.endswith("json") else "a.jpg\n1\n1 2 3 4\n"
    (tmp_path / file_name).write_text(text)
    register_wider_face(own_name, tmp_path, tmp_path / file_name, ground_truth_dir=tmp_path / "gt")
    (record,) = DatasetCatalog.get(own_name)
    assert record["file_name"] == str(tmp_path / "a.jpg")
    assert record["annotations"][0]["bbox"] == [1, 2, 4, 6]
    assert MetadataCatalog.get(own_name).thing_classes == ["face"]
    assert MetadataCatalog.get(own_name).ground_truth_dir == str(tmp_path / "gt")


def test_a_taken_name_is_told(tmp_path, own_name):
    register_wider_face(own_name, tmp_path, tmp_path / "faces.txt")
    with pytest.raises(ValueError, match="own_faces.*already.*DatasetCatalog.remove"):
        register_wider_face(own_name, tmp_path, tmp_path / "faces.txt")


def test_missing_own_files_point_at_the_call(tmp_path, own_name):
    register_wider_face(own_name, tmp_path, tmp_path / "faces.txt")
    with pytest.raises(FileNotFoundError, match="faces.txt.*register_wider_face"):
        DatasetCatalog.get(own_name)


def test_detectron2s_loader_takes_the_sample_data(sample_dataset, own_name):
    """The whole way: registered text, detectron2's loader, our mapper, one batch."""
    base = sample_dataset / "wider_face"
    register_wider_face(
        own_name,
        base / "WIDER_train/images",
        base / "wider_face_split/wider_face_train_bbx_gt.txt",
    )
    cfg = get_cfg()
    add_df2s2_config(cfg)
    cfg.DATASETS.TRAIN = (own_name,)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 128
    loader = build_detection_train_loader(cfg, mapper=FaceDatasetMapper(cfg, is_train=True))
    batch = next(iter(loader))
    assert [tuple(record["image"].shape) for record in batch] == [(3, 128, 128)] * 2
    assert all(record["instances"].image_size == (128, 128) for record in batch)
