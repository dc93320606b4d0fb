from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.evaluation import GroundTruth
from df2s2_d2.evaluation.wider_face.selection import Selection


@pytest.fixture
def truth() -> GroundTruth:
    boxes = {
        "1--Run/a": np.array([[0, 0, 8, 8], [0, 0, 16, 16]]),
        "2--Jump/b": np.array([[0, 0, 15, 15]]),
        "10--Swim/c": np.array([[0, 0, 4, 64], [5, 5, 4, 4]]),
    }
    everyone = {image: np.ones(len(rows), bool) for image, rows in boxes.items()}
    everyone["10--Swim/c"] = np.array([True, False])
    return GroundTruth.from_annotations(boxes, {"hard": everyone})


def test_other_events_are_left_out_and_other_sizes_ignored(truth):
    selection = Selection(["1--*", "10--Swim"], min_size=8, max_size=16)
    part, faces = selection.apply(truth)
    assert part.images == ("1--Run/a", "10--Swim/c")
    assert faces.tolist() == [True, True, False, True, True]
    assert part.image_index.tolist() == [0, 0, 1, 1]
    assert part.kept["hard"].tolist() == [True, False, False, False]  # a size of 16 is not below
    assert selection.describe() == ("events 1--*, 10--Swim; faces from 8 to below 16 px")


def test_without_a_choice_all_stays(truth):
    part, faces = Selection().apply(truth)
    assert Selection().is_all and part.images == truth.images and faces.all()
    assert part.kept["hard"].tolist() == truth.kept["hard"].tolist()


def test_unknown_event_lists_those_there_are(truth):
    with pytest.raises(ValueError, match="no event is named 3--Sit: there are 1--Run, 2--Jump, 10"):
        Selection(["3--Sit"]).apply(truth)
