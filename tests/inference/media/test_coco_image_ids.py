from __future__ import annotations

import json

import pytest
from pycocotools.coco import COCO

from df2s2_d2.inference.media.coco_image_ids import CocoImageIds
from df2s2_d2.inference.media.result_files import ResultFiles
from tests.inference.media.result_writing import FACES, image_frame, read_json, save


def test_coco_files_are_read_by_its_tools(tmp_path, found):
    save(tmp_path, found, ["coco"])
    images = COCO(str(tmp_path / "coco_images.json"))
    assert images.getImgIds() == [1, 2, 3, 4]
    results = images.loadRes(str(tmp_path / "coco.json"))
    assert [len(results.getAnnIds(imgIds=i)) for i in images.getImgIds()] == [2, 0, 1, 1]


@pytest.fixture
def coco_ground_truth(tmp_path):
    """Ids that no counting would give, and a file name in a folder."""
    path = tmp_path / "ground_truth.json"
    images = [{"id": 70, "file_name": "b.png"}, {"id": "x", "file_name": "photos/a.jpg"}]
    categories = [{"id": 3, "name": "car"}, {"id": 5, "name": "face"}]
    path.write_text(
        json.dumps({"images": images, "categories": categories, "annotations": []}),
        encoding="utf-8",
    )
    return path


def test_ids_are_those_of_the_ground_truth(tmp_path, found, coco_ground_truth, caplog):
    save(tmp_path, found, ["coco"], coco_ground_truth=CocoImageIds.read(coco_ground_truth))
    images = read_json(tmp_path / "coco_images.json")["images"]
    assert [image["id"] for image in images] == [70, "x"]
    (message,) = caplog.messages
    assert message == f"coco.json leaves out 2 images that {coco_ground_truth} does not list"
    results = COCO(str(coco_ground_truth)).loadRes(str(tmp_path / "coco.json"))
    assert len(results.getAnnIds(imgIds=[70], catIds=[5])) == 2


def test_id_is_given_to_one_image_only(tmp_path, coco_ground_truth, caplog):
    frames = [image_frame("b.png", f"/photos/{folder}") for folder in ("val", "train")]
    save(
        tmp_path,
        [(frame, FACES) for frame in frames],
        ["coco", "json"],
        coco_ground_truth=CocoImageIds.read(coco_ground_truth),
    )
    (image,) = read_json(tmp_path / "coco_images.json")["images"]
    assert (image["id"], image["file_name"]) == (70, "/photos/val/b.png")
    assert len(read_json(tmp_path / "coco.json")) == 2
    assert len(read_json(tmp_path / "detections.json")) == 2
    (message,) = caplog.messages
    assert message.startswith("coco.json leaves out 1 images for whose ids it has others")
    assert "/photos/train/b.png for that of /photos/val/b.png" in message


def test_what_was_left_out_is_told_after_a_run_went_on(tmp_path, coco_ground_truth, caplog):
    ids = CocoImageIds.read(coco_ground_truth)
    results = ResultFiles(tmp_path, ["coco"], coco_ground_truth=ids)
    results.start()
    for folder in ("val", "train"):
        results.add(image_frame("b.png", f"/photos/{folder}"), FACES)
    state = json.loads(json.dumps(results.state()))
    results.close()
    caplog.clear()
    with ResultFiles(tmp_path, ["coco"], coco_ground_truth=ids, state=state):
        pass
    (message,) = caplog.messages
    assert "/photos/train/b.png for that of /photos/val/b.png" in message


@pytest.mark.parametrize("content", ["", "[]", '{"images": [{"id": 1}]}', '{"images": []}'])
def test_ground_truth_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "wrong.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"^{path} gives no ids of images: it must be COCO JSON"):
        CocoImageIds.read(path)


def test_ground_truth_must_have_faces(tmp_path):
    path = tmp_path / "wrong.json"
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "dog"}]
    path.write_text(json.dumps({"images": [], "categories": categories}))
    with pytest.raises(ValueError, match="none of which is named 'face'"):
        CocoImageIds.read(path)
