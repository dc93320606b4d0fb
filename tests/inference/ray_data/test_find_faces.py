"""A detector over tables of paths, as Ray Data calls it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from df2s2_d2.inference.ray_data.face_table import SCHEMA
from tests.inference.media.scenes import instances


def check_rows(table: pa.Table, path_column: str, expected_rows) -> None:
    for row in table.to_pylist():
        if row["error"] is None:
            faces = [[*box, score] for box, score in zip(row["boxes"], row["scores"], strict=True)]
            np.testing.assert_allclose(faces, expected_rows(row[path_column]), atol=2e-2)


def test_faces_are_those_of_a_predictor(shared_finder, pictures, expected_rows):
    paths = ["3.png", "text.jpg", "0.png", str(pictures / "1.png"), "absent.png", "2.png"]
    table = shared_finder(pa.table({"path": paths, "label": list("abcdef")}))
    assert table.column_names == ["path", "label", *SCHEMA.names[1:]]
    assert table["path"].to_pylist() == paths and table["label"].to_pylist() == list("abcdef")
    errors = table["error"].to_pylist()
    assert [error is not None for error in errors] == [False, True, False, False, True, False]
    assert errors[1].startswith("The image text.jpg cannot be read")
    assert errors[4] == "The image absent.png does not exist."
    assert table["width"].to_pylist()[:3] == [256, None, 180]
    check_rows(table, "path", expected_rows)


def test_images_may_be_in_the_table(shared_finder, pictures, expected_rows):
    names = ["0.png", "text.jpg", "1.png"]
    contents = [(pictures / name).read_bytes() for name in names]
    table = shared_finder(pa.table({"path": names, "bytes": contents}))
    assert "bytes" not in table.column_names
    assert [error is None for error in table["error"].to_pylist()] == [True, False, True]
    check_rows(table, "path", expected_rows)


def test_a_table_without_images_stays_one(shared_finder):
    table = shared_finder(pa.table({"path": pa.array([], pa.string())}))
    assert len(table) == 0 and table.column_names == ["path", *SCHEMA.names[1:]]


def test_a_table_of_something_else_is_refused(shared_finder):
    with pytest.raises(ValueError, match="expected a column path .*, found image, label"):
        shared_finder(pa.table({"image": ["a"], "label": ["b"]}))


def test_what_breaks_the_detector_is_the_error_of_one_image(shared_finder, monkeypatch):
    def predict(images):
        if any(image.shape[0] == 240 for image in images):
            raise RuntimeError("too\ntall")
        return [instances([[0, 0, 9, 9]], [0.9], image.shape[:2]) for image in images]

    monkeypatch.setattr(shared_finder, "_predict", predict)
    table = shared_finder.in_paths(["1.png", "0.png", "3.png"])
    assert table["error"].to_pylist() == [None, "0.png: the detector failed (too tall)", None]
    assert table["scores"].to_pylist()[0] == pytest.approx([0.9])


def test_boxes_that_are_not_finite_are_an_error(shared_finder, monkeypatch):
    monkeypatch.setattr(
        shared_finder, "_predict", lambda images: [instances([[0, 0, np.nan, 9]], [0.9])]
    )
    (error,) = shared_finder.in_paths(["1.png"])["error"].to_pylist()
    assert error.startswith("1.png: A face has a box that is not finite")


def test_a_lost_device_is_the_fault_of_no_image(shared_finder, monkeypatch):
    def predict(images):
        raise torch.AcceleratorError("illegal memory access")

    monkeypatch.setattr(shared_finder, "_predict", predict)
    with pytest.raises(torch.AcceleratorError):
        shared_finder.in_paths(["1.png"])
