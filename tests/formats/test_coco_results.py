from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from df2s2_d2.formats.coco_results import read_coco_results, write_coco_results

ROWS = np.array([[1.1, 2, 3, 4, 0.3], [5, 6, 7, 1 / 3, 0.9]])
NAMES = ["a", "x/e/a", "../e/a", "/photos/e/a", "e\\a", 'ü "n"\n', "\ud800", ""]


def test_what_is_written_is_read_again_whatever_images_are_named(tmp_path):
    path = tmp_path / "new/results.json"
    write_coco_results(path, {name: ROWS for name in NAMES} | {"empty": np.zeros((0, 5))})
    found = read_coco_results(path)
    assert found.keys() == set(NAMES)
    for rows in found.values():
        np.testing.assert_array_equal(rows, ROWS[::-1])
    assert [p.name for p in tmp_path.rglob("*")] == ["new", "results.json"]


def test_no_detections_are_an_empty_list(tmp_path):
    write_coco_results(tmp_path / "results.json", {"a": np.zeros((0, 5))})
    assert json.loads((tmp_path / "results.json").read_text()) == []
    assert read_coco_results(tmp_path / "results.json") == {}


def test_numbered_images_are_read_by_the_tools_of_coco(tmp_path, capsys):
    write_coco_results(tmp_path / "results.json", {7: ROWS})
    truth = COCO()
    truth.dataset = {"images": [{"id": 7}], "annotations": [], "categories": [{"id": 1}]}
    truth.createIndex()
    results = truth.loadRes(str(tmp_path / "results.json"))
    assert [one["bbox"] for one in results.loadAnns(results.getAnnIds(7))] == [
        ROWS[1, :4].tolist(),
        ROWS[0, :4].tolist(),
    ]


def test_rows_that_are_none_are_named(tmp_path):
    with pytest.raises(ValueError, match="a: row 0 holds nan"):
        write_coco_results(tmp_path / "results.json", {"a": [[1, 2, 3, 4, np.nan]]})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "line 1, column 2: expected JSON"),
        ('{"images": []}', "a list of detections, found a dict"),
        ("[3]", r"\[0\]: expected"),
        ('[{"file": "a.jpg", "faces": []}]', r"\[0\]: .*what --save jsonl, wider or coco writes"),
        ('[{"image_id": 1, "bbox": [1, 2, 3], "score": 1}]', r"\[0\]: expected"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, NaN], "score": 1}]', r"\[0\]: expected"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', r"\[0\]: expected"),
        ('[{"image_id": null, "bbox": [1, 2, 3, 4], "score": 1}]', r"\[0\]: expected"),
        ('[{"image_id": true, "bbox": [1, 2, 3, 4], "score": 1}]', r"\[0\]: expected"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, true], "score": 1}]', r"\[0\]: expected"),
        ('[{"image_id": 1, "bbox": "1234", "score": 1}]', r"\[0\]: expected"),
        ('[{"image_id": 1, "bbox": ["1", 2, 3, 4], "score": 1}]', r"\[0\]: expected"),
        (f'[{{"image_id": 1, "bbox": [1, 2, 3, {"4" * 400}], "score": 1}}]', r"\[0\]: expected"),
        ('[{"image_id": 1, "bbox": [1, 2, -3, 4], "score": 1}]', r"\[0\]: expected a width and"),
        ('[{"image_id": 1, "bbox": [1e8, 2, 3, 4], "score": 1}]', r"\[0\]: .*below 10,000,000 p"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1e200}]', r"\[0\]: expected finite"),
    ],
)
def test_other_files_are_errors_that_name_the_place(tmp_path, content, words):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_coco_results(path)
    assert str(path) in str(caught.value)


def test_ids_written_as_floats_are_those_written_as_whole_numbers(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(
        '[{"image_id": 1.0, "bbox": [1, 2, 3, 4], "score": 1},'
        ' {"image_id": 1, "bbox": [5, 6, 7, 8], "score": 0}]'
    )
    found = read_coco_results(path)
    np.testing.assert_array_equal(found["1"], [[1, 2, 3, 4, 1], [5, 6, 7, 8, 0]])
