"""Tables of what was found, as Parquet and as JSON Lines."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from df2s2_d2.formats.detections_jsonl import read_detections
from df2s2_d2.inference.ray_data.face_table import (
    SCHEMA,
    TABLE_FORMATS,
    Failed,
    FoundFaces,
    face_table,
)
from df2s2_d2.inference.ray_options import FORMATS

RESULTS = [
    FoundFaces("a/x.jpg", (96, 128), np.array([[1.25, 2, 30, 40.01, 0.987654], [5, 6, 7, 8, 0.5]])),
    FoundFaces("a/ö.jpg", (10, 20), np.zeros((0, 5))),
    Failed("a/bad.jpg", 'The image "a/bad.jpg" cannot be read.'),
]


def test_rows_have_faces_or_an_error():
    table = face_table(RESULTS)
    assert table.schema == SCHEMA
    assert table.to_pylist() == [
        {
            "file": "a/x.jpg",
            "width": 128,
            "height": 96,
            "boxes": [[1.25, 2, 30, 40.01], [5, 6, 7, 8]],
            "scores": [0.987654, 0.5],
            "error": None,
        },
        {"file": "a/ö.jpg", "width": 20, "height": 10, "boxes": [], "scores": [], "error": None},
        {
            **dict.fromkeys(("width", "height", "boxes", "scores")),
            "file": "a/bad.jpg",
            "error": 'The image "a/bad.jpg" cannot be read.',
        },
    ]


def test_formats_hold_the_same():
    assert TABLE_FORMATS.keys() == FORMATS.keys()
    table = face_table(RESULTS)
    for format in TABLE_FORMATS.values():
        assert format.decode(format.encode(table)).equals(table)
        assert format.decode(format.encode(table[:0])).equals(table[:0])


def test_json_lines_are_those_of_evaluation(tmp_path):
    path = tmp_path / "part.jsonl"
    path.write_bytes(TABLE_FORMATS["jsonl"].encode(face_table(RESULTS)))
    assert json.loads(path.read_text().splitlines()[2]).keys() == {"file", "error"}
    detections = read_detections(path)
    assert list(detections) == ["a/x", "a/ö"]
    np.testing.assert_allclose(detections["a/x"][0], [1.25, 2, 28.75, 38.01, 0.987654])
    assert detections["a/ö"].shape == (0, 5)


@pytest.mark.parametrize("name", TABLE_FORMATS)
def test_damaged_files_are_told_apart(name):
    format = TABLE_FORMATS[name]
    content = format.encode(face_table(RESULTS))
    for wrong in (content[:-7], b"text", b'{"file": 1}\n', content.replace(b"file", b"fill")):
        with pytest.raises(ValueError):
            format.decode(wrong)


def test_tables_of_other_columns_are_no_results():
    content = TABLE_FORMATS["parquet"].encode(pa.table({"file": ["a"]}))
    with pytest.raises(ValueError, match="expected the columns file, width"):
        TABLE_FORMATS["parquet"].decode(content)
