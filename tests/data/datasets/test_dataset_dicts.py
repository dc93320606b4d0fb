from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from df2s2_d2.data.datasets import load_coco_boxes, load_wider_face
from df2s2_d2.data.datasets.dataset_dicts import make_record
from df2s2_d2.data.datasets.fddb import load_fddb
from tests.formats.fddb_files import save_folds


@pytest.mark.parametrize(
    ("path", "image_id"),
    [
        ("a.jpg", "a"),
        ("e/a.jpg", "e/a"),
        ("x/e/a.v1.png", "x/e/a.v1"),
        ("./e/a.jpg", "e/a"),
        ("e//a.jpg", "e/a"),
        ("e/../a.jpg", "a"),
        ("e\\a.jpg", "e/a"),
        ("/photos/e/a.jpg", "e/a"),
        ("../photos/e/a.jpg", "e/a"),
        ("/elsewhere/a.jpg", "../elsewhere/a"),
        ("../elsewhere/a.jpg", "../elsewhere/a"),
        ("e v/ü n ï.jpg", "e v/ü n ï"),
        ("e/a", "e/a"),
    ],
)
def test_an_image_has_one_name_however_its_path_is_written(path, image_id):
    record = make_record("/photos", path)
    assert record["image_id"] == image_id
    assert dict(record).keys() == {"file_name", "image_id"}


@pytest.mark.parametrize(
    ("path", "file_name"),
    [("e/a.jpg", "photos/e/a.jpg"), ("e\\a.jpg", "photos/e/a.jpg"), ("/x/a.jpg", "/x/a.jpg")],
)
def test_files_lie_below_the_folder_unless_their_path_is_absolute(path, file_name):
    assert make_record("photos", path)["file_name"] == file_name


def test_sizes_are_read_when_they_are_asked_for(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    record = make_record(str(tmp_path), "turned.jpg")
    for one in (record, copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert "width" not in one and one.get("height") is None
        assert (one["width"], one["height"]) == (20, 30)
    record["width"] = 7
    assert record["width"] == 7
    with pytest.raises(KeyError, match="annotations"):
        record["annotations"]


OUTSIDE = "../../../etc/passwd"


@pytest.mark.parametrize(
    ("load", "content"),
    [
        (load_wider_face, f"e/a.jpg\n1\n1 2 3 4\n{OUTSIDE}.jpg\n0\n"),
        (load_wider_face, f"e/a.jpg\n{OUTSIDE}.jpg\n"),
        (load_coco_boxes, json.dumps({"images": [{"id": 1, "file_name": f"{OUTSIDE}.jpg"}]})),
    ],
)
def test_images_outside_the_folder_are_asked_for_or_refused(tmp_path, load, content):
    file = tmp_path / "annotations"
    file.write_text(content)
    with pytest.raises(ValueError, match=rf"{file} names the image '{OUTSIDE}.jpg' outside the"):
        load(str(tmp_path / "photos"), str(file))
    records = load(str(tmp_path / "photos"), str(file), outside_images=True)
    assert records[-1]["file_name"] == f"{tmp_path}/photos/{OUTSIDE}.jpg"


def test_folds_name_no_images_outside_the_folder(tmp_path):
    folds = save_folds(tmp_path / "folds", {"01": {OUTSIDE: np.array([[9, 8, 1, 50, 50]])}})
    with pytest.raises(ValueError, match=f"fold 01, names the image '{OUTSIDE}' outside the"):
        load_fddb(str(tmp_path / "photos"), str(folds))
