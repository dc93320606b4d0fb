"""Data sets that cannot be trained on or scored are told before a run starts."""

from __future__ import annotations

import json
import logging
import os
import re

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.utils import comm
from PIL import Image

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.training import input_checks
from df2s2_d2.training.data_checks import check_data_sets
from tests.small_runs import registered, smallest_config

FACE = [10, 10, 20, 20]
SIDEWAYS = 6


@pytest.fixture
def check(tmp_path):
    """Function that checks a training set in COCO JSON, with a sound test set beside it.

    Its images are 96 x 64 pixels; ``a.jpg`` has a face unless `images` or `faces` say otherwise.
    """

    def check(faces=None, images=None, content=None, for_training=True, **overrides):
        for name in ("a.jpg", "b.jpg", "tested.jpg"):
            Image.new("RGB", (96, 64)).save(tmp_path / name)
        images = [{"id": 1, "file_name": "a.jpg"}] if images is None else images
        faces = [{"image_id": 1, "bbox": FACE}] if faces is None else faces
        content = content or {"images": images, "annotations": faces}
        (tmp_path / "train.json").write_text(json.dumps(content))
        (tmp_path / "test.txt").write_text("tested.jpg\n1\n10 10 20 20\n")
        names = {"DATASETS__TRAIN": ("data_train",), "DATASETS__TEST": ("data_test",)}
        with registered(
            data_train={"image_dir": tmp_path, "annotation_file": tmp_path / "train.json"},
            data_test={"image_dir": tmp_path, "annotation_file": tmp_path / "test.txt"},
        ):
            check_data_sets(smallest_config(**{**names, **overrides}), for_training)

    return check


def faces(*boxes, **others) -> list[dict]:
    return [{"image_id": 1, "bbox": box, **others} for box in boxes]


def test_sound_data_pass_without_a_word(check, caplog):
    with caplog.at_level(logging.WARNING, "df2s2_d2"):
        check()
        check(images=[{"id": 1, "file_name": "a.jpg", "width": 96, "height": 64}])
        check(faces(FACE, iscrowd="0"))
    assert not caplog.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"images": [{"id": 1, "file_name": "absent.jpg"}]}, "1 of its 1 images .*absent.jpg: put"),
        ({"images": [{"id": 1, "file_name": "d\\e.jpg"}]}, "1 of its 1 images .*d/e.jpg"),
        ({"faces": []}, "has no face to train on"),
        ({"faces": faces([0, 0, 0, 5])}, "has no face to train on"),
        (
            {"faces": faces([0.1, 0.1, 0.2, 0.2])},
            r"none of the 1 .*\(1 within 0 and 1, as if in sh",
        ),
        ({"faces": faces(FACE, iscrowd=1)}, r"none of the 1 .*\(1 marked as crowd"),
        ({"faces": faces(FACE, ignore="True")}, r"none of the 1 .*\(1 marked as crowd"),
        ({"faces": faces([-50, 0, 9, 9], [5000, 0, 9, 9])}, r"none of the 2 .*\(2 outside"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg", "width": 192, "height": 128}]},
            "a.jpg has 96 x 64 pixels, but its annotations state 192 x 128",
        ),
        ({"content": {"images": [{"id": 1, "file_name": "a.jpg"}]}}, "a.jpg has no annotations"),
        ({"DATASETS__TRAIN": ()}, "^DATASETS.TRAIN names no data set"),
        ({"DATASETS__TEST": (), "for_training": False}, "^DATASETS.TEST names no data set"),
        ({"DATASETS__TEST": ("none",)}, "'none' of DATASETS.TRAIN or DATASETS.TEST is not reg"),
    ],
)
def test_unfit_data_are_one_sentence_that_names_the_file(check, tmp_path, arguments, words):
    with pytest.raises((OSError, ValueError), match=words) as caught:
        check(**arguments)
    message = str(caught.value)
    assert "\n" not in message
    if "'data_train'" in message:
        assert str(tmp_path / "train.json") in message


@pytest.mark.parametrize(
    ("some", "words"),
    [
        (faces(FACE, [0.1, 0.1, 0.2, 0.2]), "1 of 2 .*within 0 and 1"),
        (faces(FACE, [500, 10, 20, 20]), "in a sample of 1 images: 1 of 2 .*1 outside the image"),
        ([*faces(FACE), *faces([0, 0, 9, 9], iscrowd=1)], "1 of 2 .*crowd"),
        (faces(FACE, FACE), "1 of 2 .*once more"),
        (faces(FACE, [60, 40, 90, 60]), "1 of 2 .* centre outside the image: .* not corners"),
    ],
)
def test_many_lost_faces_are_warned_of_with_the_reason(check, caplog, some, words):
    with caplog.at_level(logging.WARNING, "df2s2_d2"):
        check(some)
    (record,) = caplog.records
    assert re.search(words, record.getMessage())


def test_crowds_that_are_trained_on_are_faces(check):
    check(faces(FACE, iscrowd=1), DATASETS__INVALID_FACES="face")


def test_faceless_images_may_be_added_to_others(check, tmp_path):
    (tmp_path / "none.txt").write_text("b.jpg\n0\n")
    with registered(
        data_faceless={"image_dir": tmp_path, "annotation_file": tmp_path / "none.txt"}
    ):
        check(DATASETS__TRAIN=("data_train", "data_faceless"))


def test_sizes_stated_before_rotation_are_trained_on(check, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = SIDEWAYS
    Image.new("RGB", (96, 64)).save(tmp_path / "turned.jpg", exif=exif)
    image = {"id": 1, "file_name": "turned.jpg", "width": 96, "height": 64}
    check(images=[image])
    with registered(
        data_turned={"image_dir": tmp_path, "annotation_file": tmp_path / "train.json"}
    ):
        (record,) = DatasetCatalog.get("data_turned")
        mapped = FaceDatasetMapper(smallest_config(), is_train=True)(record)
    assert (mapped["width"], mapped["height"]) == (64, 96)
    # Boxes in pixels of the image as it is stored are outside of it, if they are on its right.
    with pytest.raises(ValueError, match="in a sample of 1 images: none of the 1 .*upright image"):
        check(faces([70, 10, 20, 20]), images=[image])


def test_scoring_needs_neither_training_data_nor_faces_to_train_on(check):
    check(faces=[], images=[{"id": 1, "file_name": "absent.jpg"}], for_training=False)
    check(for_training=False, DATASETS__TRAIN=("not registered",))


def test_a_sample_alone_is_opened(tmp_path, monkeypatch):
    """The heads of 64 of 1,000 images, although not one of them is an image."""
    for number in range(1000):
        (tmp_path / f"{number}.jpg").touch()
    text = "".join(f"{number}.jpg\n1\n10 10 20 20\n" for number in range(1000))
    (tmp_path / "faces.txt").write_text(text)
    opened = []
    monkeypatch.setattr(
        "df2s2_d2.data.image_size.PathManager.open",
        lambda path, mode: opened.append(path) or open(path, mode),
    )
    cfg = smallest_config(DATASETS__TRAIN=("data_many",), DATASETS__TEST=("data_many",))
    opened.clear()
    with registered(data_many={"image_dir": tmp_path, "annotation_file": tmp_path / "faces.txt"}):
        check_data_sets(cfg, True)
    assert len(opened) == len(set(opened)) == 64
    assert {os.path.basename(opened[0]), os.path.basename(opened[-1])} == {"0.jpg", "999.jpg"}


@pytest.fixture
def other(tmp_path):
    """Function that registers dataset dicts as other programs may."""
    Image.new("RGB", (96, 64)).save(tmp_path / "a.jpg")

    def register(*records: dict) -> None:
        sound = {"file_name": str(tmp_path / "a.jpg"), "image_id": 1, "annotations": []}
        DatasetCatalog.register("data_other", lambda: [sound | record for record in records])
        MetadataCatalog.get("data_other").set(evaluator_type="wider_face")

    yield register
    if "data_other" in DatasetCatalog:
        DatasetCatalog.remove("data_other")
    MetadataCatalog.pop("data_other", None)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([{}, {}], "both named 1: rename or remove one"),
        ([], "'data_other' has no images"),
        ([{"annotations": [{"bbox": FACE, "bbox_mode": 1, "iscrowd": "0"}]}], "'iscrowd' is '0'"),
        ([{"annotations": [{"bbox": FACE, "bbox_mode": 1, "category_id": 3}]}], "other classes"),
    ],
)
def test_data_registered_by_other_programs_are_checked_too(other, records, words):
    other(*records)
    with pytest.raises(ValueError, match=f"Data set {words}|'data_other': .*{words}"):
        check_data_sets(smallest_config(DATASETS__TRAIN=("data_other",), DATASETS__TEST=()), True)


def test_data_registered_with_detectron2s_coco_reader_are_trained_on(other, tmp_path):
    other()
    DatasetCatalog.remove("data_other")
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": 64, "width": 96}],
        "annotations": [{"id": 1, "image_id": 7, "bbox": FACE, "category_id": 4, "iscrowd": 0}],
        "categories": [{"id": 4, "name": "face"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    MetadataCatalog.pop("data_other")
    register_coco_instances("data_other", {}, str(tmp_path / "coco.json"), str(tmp_path))
    names = {"DATASETS__TRAIN": ("data_other",), "DATASETS__TEST": ("data_other",)}
    check_data_sets(smallest_config(**names), True)


def test_test_data_of_an_unknown_kind_are_refused_before_training(other, tmp_path):
    other({})
    MetadataCatalog.pop("data_other")
    MetadataCatalog.get("data_other").set(evaluator_type="lvis")
    with pytest.raises(ValueError, match="No evaluator for data set 'data_other'.*'lvis'"):
        check_data_sets(smallest_config(DATASETS__TRAIN=(), DATASETS__TEST=("data_other",)), False)


@pytest.mark.parametrize("rank", [0, 1])
def test_one_process_looks_and_all_fail_alike(monkeypatch, rank):
    looked = []

    def look():
        looked.append(rank)
        raise FileNotFoundError("a.jpg is missing")

    error = FileNotFoundError("a.jpg is missing")
    monkeypatch.setattr(comm, "is_main_process", lambda: rank == 0)
    monkeypatch.setattr(comm, "all_gather", lambda own: [own if rank == 0 else error, None])
    with pytest.raises(FileNotFoundError, match="^a.jpg is missing$"):
        input_checks.on_main_process(look)
    assert looked == [0] * (rank == 0)
