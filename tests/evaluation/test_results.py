"""The file of an evaluation's results."""

from __future__ import annotations

import pytest

from df2s2_d2.evaluation.protocol import Protocol
from df2s2_d2.evaluation.results import read_wider_face_results, results_to_json

FIGURES = {"wider_face": {"AP_easy": 0.5, "AP_medium": 0.25}}


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "results.json"
    for protocol, line in (
        (Protocol("original size", nms_threshold=0.4), "original size, NMS 0.4"),
        (None, ""),
    ):
        path.write_text(results_to_json(FIGURES, {}, protocol, detections="found"))
        assert read_wider_face_results(path) == ({"easy": 0.5, "medium": 0.25}, line)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"fddb": {}}', '{"wider_face": 1}'])
def test_results_of_something_else_are_refused(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="results.json is no results.json of WIDER FACE"):
        read_wider_face_results(path)
