"""The view of detections that needs neither torch nor detectron2."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from PIL import Image

from df2s2_d2 import Faces
from df2s2_d2.inference.media.frames import Frame
from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.visualization.face_boxes import draw_faces
from tests.inference.media.scenes import image_source
from tests.test_missing_packages import without

BOXES = [[10.126, 20, 30, 44.5], [1, 2, 7, 9], [50, 10, 58, 22]]
SCORES = [0.98765432, 0.5, 0.25]
SIZE = (60, 80)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def faces() -> Faces:
    return Faces(BOXES, SCORES, SIZE)


def instances() -> Instances:
    return Instances(SIZE, pred_boxes=Boxes(torch.tensor(BOXES)), scores=torch.tensor(SCORES))


# What faces are


def test_faces_are_arrays_of_numpy(faces):
    assert faces.xyxy.dtype == faces.scores.dtype == np.float32
    assert faces.xyxy.shape == (3, 4) and faces.scores.shape == (3,)
    assert faces.image_size == SIZE and len(faces) == 3
    assert repr(faces) == "Faces(3 in 80 x 60 pixels)"


def test_instances_are_viewed_not_copied():
    found = instances()
    faces = Faces.from_instances(found)
    np.testing.assert_array_equal(faces.xyxy, np.float32(BOXES))
    found.pred_boxes.tensor[0, 0] = 3
    assert faces.xyxy[0, 0] == 3 and faces.image_size == SIZE


def test_no_faces_are_faces_too():
    for empty in (Faces([], [], SIZE), Faces(BOXES, SCORES, SIZE)[:0]):
        assert len(empty) == 0 and empty.xyxy.shape == (0, 4) and list(empty) == []
        assert empty.to_dict() == {"width": 80, "height": 60, "faces": []}
        np.testing.assert_array_equal(empty.draw(IMAGE), IMAGE)
        assert empty.crops(IMAGE) == []
    assert len(Faces.from_instances(instances()[torch.zeros(3, dtype=torch.bool)])) == 0


@pytest.mark.parametrize(
    ("boxes", "scores", "words"),
    [
        (BOXES, SCORES[:2], r"found \(3, 4\) and \(2,\)"),
        ([[1, 2, 3]], [0.5], r"found \(1, 3\)"),
        (BOXES[0], [0.5], r"found \(4,\)"),
        ([[1, 2, 3, np.nan]], [0.5], "not finite"),
        ([[1, 2, 3, 4]], [np.inf], "not finite"),
    ],
)
def test_what_are_no_faces_is_refused(boxes, scores, words):
    with pytest.raises(ValueError, match=words):
        Faces(boxes, scores, SIZE)


# Some of them


def test_faces_are_a_sequence(faces):
    for (box, score), face, expected in zip(faces, faces, BOXES, strict=True):
        np.testing.assert_array_equal(box, np.float32(expected))
        assert face.score == score and isinstance(score, float)
    assert faces[-1].score == 0.25 and faces[np.int64(1)].xyxy.tolist() == BOXES[1]
    with pytest.raises(IndexError):
        faces[3]


def test_masks_slices_and_numbers_choose_faces(faces):
    chosen = {
        (0, 1): [faces[faces.scores > 0.3], faces[:2], faces[[True, True, False]]],
        (2, 0): [faces[[2, 0]], faces[np.array([2, 0])], faces[torch.tensor([2, 0])]],
        (): [faces[[]], faces[faces.scores > 1], faces[3:]],
    }
    for numbers, several in chosen.items():
        for some in several:
            assert some.scores.tolist() == [np.float32(SCORES[number]) for number in numbers]
            assert some.image_size == SIZE and len(some.xyxy) == len(numbers)


@pytest.mark.parametrize("index", [[True, False], [0, 7], [[0, 1]], [0.5], "a"])
def test_what_chooses_no_faces_is_an_index_error(faces, index):
    with pytest.raises(IndexError):
        faces[index]


# Into other forms


def test_dictionary_holds_rounded_plain_numbers(faces):
    record = faces.to_dict()
    assert record["faces"][0] == {"box": [10.13, 20.0, 30.0, 44.5], "score": 0.987654}
    assert (record["width"], record["height"], len(record["faces"])) == (80, 60, 3)
    assert json.loads(faces.to_json()) == record and "\n" not in faces.to_json()
    assert faces.to_json(indent=2).startswith('{\n  "width": 80')


def test_dictionary_is_what_the_command_writes(faces, tmp_path):
    with ResultFiles(tmp_path, ["json"]) as results:
        results.add(Frame(image_source(), IMAGE), instances())
    (record,) = json.loads((tmp_path / "detections.json").read_text())
    assert faces.to_dict() == {key: record[key] for key in ("width", "height", "faces")}
    again = Faces.from_dict(record)
    np.testing.assert_allclose(again.xyxy, faces.xyxy, atol=0.006)
    assert again.to_dict() == faces.to_dict()


@pytest.mark.parametrize("record", [{}, {"faces": [{}], "width": 1, "height": 1}, {"faces": 3}, []])
def test_other_records_are_refused(record):
    with pytest.raises(ValueError, match="expected a record with width, height and faces"):
        Faces.from_dict(record)


def test_drawn_as_the_command_draws(faces):
    expected = draw_faces(IMAGE, faces.xyxy, faces.scores)
    assert (expected != IMAGE).any()
    png = io.BytesIO()
    Image.fromarray(IMAGE).save(png, "PNG")
    for image in (IMAGE, Image.fromarray(IMAGE), png.getvalue(), png):
        np.testing.assert_array_equal(faces.draw(image), expected)
    np.testing.assert_array_equal(faces.draw(IMAGE[..., ::-1], "BGR"), expected[..., ::-1])
    np.testing.assert_array_equal(faces.draw(png, "BGR"), expected[..., ::-1])


def test_crops_are_cut_out_with_a_margin(faces):
    first, second, third = faces.crops(IMAGE)
    np.testing.assert_array_equal(first, IMAGE[20:45, 10:30])
    np.testing.assert_array_equal(second, IMAGE[2:9, 1:7])
    # A quarter of 8 x 12 pixels on each side.
    np.testing.assert_array_equal(faces[2:].crops(IMAGE, margin=0.25)[0], IMAGE[7:25, 48:60])
    np.testing.assert_array_equal(
        faces[2:].crops(Image.fromarray(IMAGE), image_format="BGR")[0], third[..., ::-1]
    )


def test_images_of_another_size_are_refused(faces):
    for method in (faces.draw, faces.crops):
        with pytest.raises(ValueError, match="has 60 x 80 pixels, but .* in one of 80 x 60"):
            method(IMAGE.transpose(1, 0, 2))


def test_supervision_gets_the_same_faces(faces):
    reason = "supervision is an extra of its own: pip install 'df2s2_d2[supervision]'"
    supervision = pytest.importorskip("supervision", reason=reason)
    found = faces.to_supervision()
    np.testing.assert_array_equal(found.xyxy, faces.xyxy)
    np.testing.assert_array_equal(found.confidence, faces.scores)
    assert found.class_id.tolist() == [0] * 3 and set(found.data["class_name"]) == {"face"}
    picture = supervision.BoxAnnotator().annotate(IMAGE.copy(), found)
    assert (picture != IMAGE).any()
    assert len(supervision.Detections.merge([found, faces[:0].to_supervision()])) == 3


def test_without_supervision_its_extra_is_named(monkeypatch):
    without(monkeypatch, "supervision")
    from df2s2_d2 import Faces

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'df2s2_d2\[supervision\]'"):
        Faces(BOXES, SCORES, SIZE).to_supervision()
