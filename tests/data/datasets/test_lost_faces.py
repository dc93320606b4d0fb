from __future__ import annotations

import numpy as np
import pytest
from detectron2.structures import BoxMode
from PIL import Image

from df2s2_d2.data.datasets.lost_faces import (
    CROWD,
    NO_AREA,
    OUTSIDE,
    SHARES,
    count_faces,
    read_sizes,
    stated_sizes,
)


def record(*boxes, mode=BoxMode.XYWH_ABS, **others) -> dict:
    faces = [{"bbox": list(box), "bbox_mode": mode, "iscrowd": 0} for box in boxes]
    return {"file_name": "a.jpg", "annotations": faces, **others}


def count(records, sizes=None, keep_crowd=False):
    sizes = np.full((len(records), 2), np.nan) if sizes is None else np.array(sizes, float)
    return count_faces(records, sizes, keep_crowd)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([10, 10, 20, 20], None),
        ([-5, -5, 6, 6], None),
        ([0, 0, 2, 2], None),
        ([0.1, 0.2, 0.3, 0.4], SHARES),
        ([0, 0, 1, 1], SHARES),
        ([-30, 10, 20, 20], OUTSIDE),
        ([10, -30, 20, 20], OUTSIDE),
        ([100, 10, 20, 20], OUTSIDE),
        ([10, 80, 20, 20], OUTSIDE),
        ([99, 79, 20, 20], None),
        ([10, 10, 0, 20], NO_AREA),
        ([10, 10, 20, -3], NO_AREA),
    ],
)
def test_every_lost_face_has_one_reason(box, reason):
    found = count([record(), record(box)], [(1, 1), (80, 100)])
    assert found.total == 1
    assert {key for key, number in found.lost.items() if number} == ({reason} - {None})
    assert found.kept == (reason is None)
    assert found.share_lost == (reason is not None)


def test_without_a_size_only_what_lies_before_an_image_is_outside():
    found = count([record([9000, 9000, 20, 20], [-30, 0, 20, 20])])
    assert found.lost[OUTSIDE] == 1 and found.kept == 1


def test_crowds_are_faces_only_if_they_are_trained_on():
    crowd = record([0, 0, 9, 9], [0, 0, 9, 9])
    crowd["annotations"][1]["iscrowd"] = 1
    assert count([crowd]).lost[CROWD] == 1
    assert count([crowd], keep_crowd=True).kept == 2


def test_corners_taken_for_sizes_show_by_their_centres():
    corners = record([60, 40, 90, 70], [10, 10, 30, 30], mode=BoxMode.XYXY_ABS)
    assert count([corners], [(80, 100)]).off_centre == 0
    taken_for_sizes = record([60, 40, 90, 70], [10, 10, 30, 30])
    found = count([taken_for_sizes], [(80, 100)])
    assert (found.off_centre, found.kept) == (1, 2)


def test_boxes_are_repeated_in_an_image_only():
    found = count([record([0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 8]), record([0, 0, 9, 9])])
    assert (found.repeated, found.kept) == (1, 4)


def test_reasons_are_told_with_their_numbers():
    found = count([record(*[[0.1, 0.1, 0.2, 0.2]] * 1200, [-9, 0, 5, 5], [0, 0, 9, 9])])
    assert found.describe_lost() == f"1,200 {SHARES}, 1 {OUTSIDE}"


def test_stated_sizes_may_be_the_wrong_way_round():
    sizes = stated_sizes([{"height": 20, "width": 30}, {"height": 20}, {}])
    np.testing.assert_array_equal(sizes, [[30, 30], [np.nan, np.nan], [np.nan, np.nan]])
    assert stated_sizes([]).shape == (0, 2)


def test_sizes_of_broken_images_are_unknown(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    records = [{"file_name": str(tmp_path / name)} for name in ("b.png", "a.png", "c.png")]
    np.testing.assert_array_equal(
        read_sizes(records), [[np.nan, np.nan], [20, 30], [np.nan, np.nan]]
    )
