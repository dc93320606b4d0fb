from __future__ import annotations

import json

import numpy as np
import pytest

from df2s2_d2.cli.program import main
from df2s2_d2.dataset_check.detector_findings import find_contradictions
from tests.dataset_check.faulty_datasets import (
    one_image,
    photograph,
    write_images,
    write_wider_face,
)


def contradictions(boxes, detections, ignored=None):
    """Kind, number of the box or the detection itself, and reason."""
    rows = np.array(detections, np.float64).reshape(-1, 5)
    found = find_contradictions(one_image(boxes, ignored), {"e/a": rows})
    return [(x.kind.key, x.detection if x.box is None else x.box, x.reason) for x in found]


def test_faces_that_are_seen_or_found_twice_are_no_findings():
    # IoU 0.36 with a score above 0.2, and what is a part or a neighbour of a face
    boxes = [[10, 10, 20, 20], [100, 100, 40, 40]]
    detections = [
        [10, 10, 20, 7.2, 0.21],
        [100, 100, 40, 40, 0.9],
        [105, 105, 10, 10, 0.95],
        [95, 95, 80, 80, 0.95],
    ]
    assert contradictions(boxes, detections) == []


def test_faces_that_only_one_side_has():
    boxes = [[10, 10, 20, 20], [60, 10, 20, 20], [100, 100, 40, 40]]
    detections = [
        [10, 10, 20, 6.8, 0.9],  # IoU 0.34
        [60, 10, 20, 20, 0.19],
        [200, 100, 40, 50, 0.61],
        [300, 100, 40, 50, 0.59],
    ]
    assert contradictions(boxes, detections) == [
        ("unseen_face", 0, "not seen by the detector: 20 × 20 px at (10, 10)"),
        ("unseen_face", 1, "seen with a score of 0.19: 20 × 20 px at (60, 10)"),
        ("unseen_face", 2, "not seen by the detector: 40 × 40 px at (100, 100)"),
        ("unlabelled_face", (200, 100, 40, 50), "score 0.61: 40 × 50 px at (200, 100)"),
    ]


def test_regions_need_not_be_seen_and_explain_what_is_seen_there():
    boxes = [[10, 10, 90, 90], [200, 10, 0, 20]]  # the second is a face without an area
    assert contradictions(boxes, [[20, 20, 15, 20, 0.9]], [True, False]) == []


def test_an_image_without_detections_is_judged_and_one_that_is_not_named_is_not():
    dataset = one_image([[10, 10, 20, 20]])
    assert [x.box for x in find_contradictions(dataset, {"e/a": np.zeros((0, 5))})] == [0]
    assert find_contradictions(dataset, {"e/b": np.zeros((0, 5))}) == []
    assert find_contradictions(one_image([]), {"e/a": np.zeros((0, 5))}) == []


def test_the_largest_unseen_face_and_the_surest_detection_come_first():
    boxes = [[10, 10, 20, 20], [100, 100, 40, 40]]
    detections = np.array([[300, 10, 20, 20, 0.7], [400, 10, 20, 20, 0.8]])
    found = find_contradictions(one_image(boxes), {"e/a": detections})
    assert [x.weight for x in found] == [20, 40, 0.7, 0.8]


@pytest.fixture
def labelled(tmp_path):
    write_images(tmp_path / "images", {"e/a.jpg": photograph(0), "e/b.jpg": photograph(1)})
    faces = {"e/a.jpg": [[20, 20, 30, 40]], "e/b.jpg": [[20, 20, 30, 40]]}
    return f"{write_wider_face(tmp_path / 'faces.txt', faces)}={tmp_path}/images"


def detections_file(tmp_path, rows) -> str:
    """One event's texts in a folder, as the official tools take them."""
    for name, faces in rows.items():
        file = tmp_path / "found" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [file.stem, str(len(faces)), *(" ".join(map(str, face)) for face in faces)]
        file.write_text("\n".join(lines) + "\n")
    return str(tmp_path / "found")


@pytest.mark.parametrize("name", ["a", "images/a"])
def test_images_are_known_by_their_names_or_by_their_folders(tmp_path, name):
    write_images(tmp_path / "images", {"a.jpg": photograph(0)})
    faces = write_wider_face(tmp_path / "faces.txt", {"a.jpg": [[20, 20, 30, 40]]})
    (tmp_path / "found.json").write_text(
        json.dumps([{"image_id": name, "category_id": 1, "bbox": [90, 30, 40, 50], "score": 0.9}])
    )
    output, found = tmp_path / "out", tmp_path / "found.json"
    arguments = ["--detections", str(found), "--output", str(output)]
    assert main(["check", f"{faces}={tmp_path}/images", *arguments]) == 0
    (data_set,) = json.loads((output / "check.json").read_text())["data_sets"]
    assert [x["kind"] for x in data_set["findings"]] == ["unseen_face", "unlabelled_face"]


def test_the_page_shows_what_a_detector_contradicts(labelled, tmp_path, capsys):
    found = detections_file(tmp_path, {"e/a": [[90, 30, 40, 50, 0.9]]})
    output = tmp_path / "out"
    assert main(["check", labelled, "--detections", found, "--output", str(output)]) == 0
    (data_set,) = json.loads((output / "check.json").read_text())["data_sets"]
    assert data_set["findings"] == [
        {
            "kind": "unseen_face",
            "reason": "not seen by the detector: 30 × 40 px at (20, 20)",
            "image": "e/a",
            "file": f"{tmp_path}/images/e/a.jpg",
            "place": "line 3",
            "box": [20, 20, 30, 40],
        },
        {
            "kind": "unlabelled_face",
            "reason": "score 0.90: 40 × 50 px at (90, 30)",
            "image": "e/a",
            "file": f"{tmp_path}/images/e/a.jpg",
            "detection": [90, 30, 40, 50],
        },
    ]
    page = (output / "check.html").read_text()
    assert page.count("<img") >= 3
    out = capsys.readouterr().out
    assert "1  faces that the detector does not see, such as e/a, line 3: not seen" in out
    assert "1  faces that only the detector sees, such as e/a: score 0.90" in out


def test_detections_of_other_images_are_refused_before_images_are_read(labelled, tmp_path, capsys):
    found = detections_file(tmp_path, {"e/c": [], "e/d": []})
    (tmp_path / "images/e/a.jpg").unlink()
    assert main(["check", labelled, "--detections", found, "--output", str(tmp_path / "o")]) == 1
    error = capsys.readouterr().err
    expected = f"{found} has detections of {{}} that faces does not have: give those of the same"
    assert expected.format("e/c and 1 more images") in error
    assert not (tmp_path / "o").exists()
