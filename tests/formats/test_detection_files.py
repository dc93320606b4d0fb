from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.formats.coco_results import write_coco_results
from df2s2_d2.formats.detection_files import read_detections
from df2s2_d2.formats.wider_face_detections import write_detections

ROWS = np.array([[5, 6, 7, 1 / 3, 0.9], [1.1, 2, 3, 4, 0.3]])


@pytest.mark.parametrize(
    ("name", "write"), [("found.json", write_coco_results), ("found", write_detections)]
)
def test_the_format_is_known_by_the_ending(tmp_path, name, write):
    write(tmp_path / name, {"e/i": ROWS})
    (image,) = read_detections(tmp_path / name).items()
    assert image[0] == "e/i"
    np.testing.assert_array_equal(image[1], ROWS)


def test_a_folder_may_have_any_ending(tmp_path):
    write_detections(tmp_path / "found.json", {"e/i": ROWS})
    assert list(read_detections(tmp_path / "found.json")) == ["e/i"]


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.json not found"):
        read_detections(tmp_path / "absent.json")
