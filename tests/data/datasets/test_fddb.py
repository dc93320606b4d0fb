from __future__ import annotations

import math
import os

import cv2
import numpy as np
import pytest
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader
from detectron2.structures import BoxMode

from df2s2_d2.config import add_df2s2_config
from df2s2_d2.data import FaceDatasetMapper, register_fddb
from df2s2_d2.data.datasets import circumscribed_boxes, load_fddb, register_all_fddb
from tests.formats.fddb_files import save_folds

FACES = np.array([[30.0, 20, math.pi / 2, 100, 90], [30, 20, -math.pi, 60, 50]])
FOLDS = {"01": {"2002/08/a": FACES}, "02": {"2002/09/b": FACES[:0]}}


@pytest.fixture
def own_name():
    """A name that is free, and free again afterwards."""
    yield "own_ellipses"
    if "own_ellipses" in DatasetCatalog:
        DatasetCatalog.remove("own_ellipses")
        MetadataCatalog.remove("own_ellipses")


@pytest.fixture
def registered_under(tmp_path):
    """FDDB registered under an empty folder; what it was is restored."""
    loader, metadata = DatasetCatalog.pop("fddb"), MetadataCatalog.pop("fddb")
    register_all_fddb(tmp_path)
    yield tmp_path
    DatasetCatalog["fddb"], MetadataCatalog["fddb"] = loader, metadata


def test_boxes_just_hold_the_ellipses():
    rng = np.random.default_rng(0)
    ellipses = rng.uniform([20, 10, -4, 100, 100], [90, 60, 4, 200, 200], size=(50, 5))
    boxes = circumscribed_boxes(ellipses)
    for (major, minor, angle, x, y), box in zip(ellipses, boxes, strict=True):
        turn = np.linspace(0, 2 * math.pi, 10_000)
        along, across = major * np.cos(turn), minor * np.sin(turn)
        xs = x + along * math.cos(angle) - across * math.sin(angle)
        ys = y + along * math.sin(angle) + across * math.cos(angle)
        expected = [xs.min(), ys.min(), np.ptp(xs), np.ptp(ys)]
        np.testing.assert_allclose(box, expected, atol=1e-3)


def test_dataset_dicts_keep_the_ellipses(tmp_path):
    first, second = load_fddb("pics", str(save_folds(tmp_path, FOLDS)))
    assert first["file_name"] == os.path.join("pics", "2002/08/a.jpg")
    assert (first["image_id"], first["fold"]) == ("2002/08/a", "01")
    assert (second["image_id"], second["fold"]) == ("2002/09/b", "02")
    assert second["annotations"] == []
    upright, lying = first["annotations"]
    assert upright["bbox"] == pytest.approx([80, 60, 120, 120])
    assert lying["bbox"] == pytest.approx([30, 30, 90, 70])
    assert [face["ellipse"] for face in first["annotations"]] == FACES.tolist()
    assert upright["bbox_mode"] == BoxMode.XYXY_ABS
    assert (upright["category_id"], upright["iscrowd"]) == (0, 0)


def test_registered_without_any_file(registered_under):
    base = registered_under / "fddb"
    metadata = MetadataCatalog.get("fddb")
    assert (metadata.thing_classes, metadata.evaluator_type) == (["face"], "fddb")
    assert metadata.image_dir == str(base / "originalPics")
    assert metadata.folds_dir == str(base / "FDDB-folds")
    before = DatasetCatalog["fddb"]
    register_all_fddb(registered_under / "elsewhere")
    assert DatasetCatalog["fddb"] is before

    (base / "originalPics").mkdir(parents=True)
    save_folds(base / "FDDB-folds", FOLDS)
    records = DatasetCatalog.get("fddb")
    assert [record["image_id"] for record in records] == ["2002/08/a", "2002/09/b"]
    assert records[0]["file_name"] == str(base / "originalPics/2002/08/a.jpg")


def test_missing_files_are_told_with_path_and_remedy(registered_under):
    base = registered_under / "fddb"
    with pytest.raises(FileNotFoundError, match="image folder") as error:
        DatasetCatalog.get("fddb")
    for part in (str(base / "originalPics"), "DETECTRON2_DATASETS", "FDDB-fold-XX-ellipseList"):
        assert part in str(error.value)
    (base / "originalPics").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="folder of folds") as error:
        DatasetCatalog.get("fddb")
    assert str(base / "FDDB-folds") in str(error.value)


def test_own_data(tmp_path, own_name):
    register_fddb(own_name, tmp_path, save_folds(tmp_path / "folds", FOLDS))
    assert len(DatasetCatalog.get(own_name)) == 2
    assert MetadataCatalog.get(own_name).evaluator_type == "fddb"
    with pytest.raises(ValueError, match="own_ellipses.*already.*DatasetCatalog.remove"):
        register_fddb(own_name, tmp_path, tmp_path / "folds")


def test_missing_own_files_point_at_the_call(tmp_path, own_name):
    register_fddb(own_name, tmp_path, tmp_path / "folds")
    with pytest.raises(FileNotFoundError, match="folds does not exist.*register_fddb"):
        DatasetCatalog.get(own_name)


def test_detectron2s_loader_takes_it(tmp_path, own_name):
    (tmp_path / "2002/08").mkdir(parents=True)
    assert cv2.imwrite(str(tmp_path / "2002/08/a.jpg"), np.full((150, 200, 3), 90, np.uint8))
    register_fddb(own_name, tmp_path, save_folds(tmp_path / "folds", {"01": FOLDS["01"]}))
    cfg = get_cfg()
    add_df2s2_config(cfg)
    cfg.DATASETS.TRAIN = (own_name,)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH = 1
    cfg.INPUT.MIN_SIZE_TRAIN = (150,)
    cfg.INPUT.RESIZE_SQUARE_TRAIN = 0
    cfg.INPUT.RANDOM_FLIP = "none"
    loader = build_detection_train_loader(cfg, mapper=FaceDatasetMapper(cfg, is_train=True))
    (record,) = next(iter(loader))
    assert (record["height"], record["width"]) == (150, 200)
    assert len(record["instances"]) == 2


@pytest.mark.real_data
def test_official_annotations(shared_data):
    records = load_fddb("absent", str(shared_data / "official/fddb/FDDB-folds"))
    assert len(records) == 2845
    assert sum(len(record["annotations"]) for record in records) == 5171
    assert {record["fold"] for record in records} == {f"{k:02d}" for k in range(1, 11)}
