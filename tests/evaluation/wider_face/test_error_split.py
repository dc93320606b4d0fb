from __future__ import annotations

import json

import numpy as np
import pytest

from df2s2_d2.evaluation import GroundTruth, load_ground_truth, read_detections
from df2s2_d2.evaluation.wider_face.error_split import (
    BACKGROUND,
    BADLY_PLACED,
    DUPLICATE,
    KINDS,
    MISSED,
    ErrorAnalysis,
)
from tests.evaluation.wider_face.error_reference import mended_ap, name_errors

# An image without faces: its detections are no proposals, but hold the ends of the scores, so
# that mended detections meet the same thresholds.
ENDS = {"e/none": [[0, 0, 5, 5, 0.0], [0, 0, 5, 5, 1.0]]}


def scene(seed: int):
    """Crowds in which every kind of error occurs, ties and ignored faces among them."""
    rng = np.random.default_rng(seed)
    boxes, kept, detections = {}, {}, {}
    for number in range(6):
        faces = rng.integers([0, 0, 10, 10], [120, 120, 40, 40], size=(12, 4)).astype(float)
        chosen = faces[rng.integers(0, 9, 30)]  # some faces are never near a detection
        rows = chosen + rng.integers(-14, 15, (30, 4)) * rng.integers(0, 2, (30, 1))
        rows[:, 2:] = np.maximum(rows[:, 2:], 3)
        far = np.column_stack((rng.uniform(300, 400, (5, 2)), np.full((5, 2), 20)))
        rows = np.concatenate((rows, far))
        scores = rng.integers(1, 40, (len(rows), 1)) / 40
        image = f"e/{number}"
        boxes[image], kept[image] = faces.tolist(), (rng.random(12) < 0.7).tolist()
        detections[image] = np.concatenate((rows, scores), axis=1).tolist()
    boxes["e/none"], kept["e/none"] = [], []
    return boxes, kept, detections | ENDS


def analyze(boxes, kept, detections):
    truth = GroundTruth.from_annotations(
        {image: np.array(rows) for image, rows in boxes.items()},
        {"hard": {image: np.array(mask, bool) for image, mask in kept.items()}},
    )
    analysis = ErrorAnalysis({i: np.array(rows) for i, rows in detections.items()}, truth)
    return analysis, truth.kept["hard"], truth


@pytest.mark.parametrize("seed", range(3))
def test_kinds_and_gains_agree_with_plain_loops_that_mend_detections(seed):
    case = boxes, kept, detections = scene(seed)
    analysis, mask, truth = analyze(*case)
    split = analysis.split(mask)
    errors, missed = name_errors(detections, boxes, kept)
    starts = np.searchsorted(analysis.image_index, range(len(boxes)))
    first = dict(zip(boxes, starts.tolist(), strict=True))
    for kind in (BADLY_PLACED, DUPLICATE, BACKGROUND):
        expected = {first[i] + place for (i, place), (name, _) in errors.items() if name == kind}
        assert set(np.flatnonzero(split.is_kind[kind]).tolist()) == expected
        assert len(expected) > 3
    numbers = {image: np.flatnonzero(truth.image_index == k) for k, image in enumerate(boxes)}
    expected = {int(numbers[image][face]) for image, face in missed}
    assert set(np.flatnonzero(split.is_kind[MISSED]).tolist()) == expected
    assert len(expected) > 3

    arguments = detections, boxes, kept
    ap = mended_ap(*arguments, ())
    assert split.ap == pytest.approx(ap, abs=1e-12) and 0.1 < ap < 0.9
    for kind in KINDS:
        assert split.gain[kind] == pytest.approx(mended_ap(*arguments, (kind,)) - ap, abs=1e-12)
        assert split.gain[kind] > 0
    assert mended_ap(*arguments, KINDS) == pytest.approx(1, abs=1e-12)
    assert split.ap_without_errors == pytest.approx(1, abs=1e-12)

    gains = analysis.gains_of_detections(mask)
    for (image, place), (kind, _) in errors.items():
        alone = mended_ap(*arguments, (kind,), only=(image, place)) - ap
        assert gains[first[image] + place] == pytest.approx(alone, abs=1e-12)
    is_error = np.any([split.is_kind[kind] for kind in KINDS if kind != MISSED], axis=0)
    assert (gains[~is_error] == 0).all()


def test_worked_out_by_hand():
    faces = [[0, 0, 9, 9], [100, 0, 9, 9], [200, 0, 9, 9], [300, 0, 9, 9]]
    detections = {
        "e/a": [
            [0, 0, 9, 9, 0.9],  # finds the first face
            [105, 0, 9, 9, 0.8],  # 50 of 150 pixels of the second: badly placed
            [0, 0, 9, 9, 0.7],  # the first once more
            [500, 0, 9, 9, 0.6],  # background
            [305, 0, 9, 9, 0.5],  # badly placed, on a face that is ignored
            [300, 0, 9, 9, 0.4],  # on an ignored face: no error
        ]
    } | ENDS
    boxes = {"e/a": faces, "e/none": []}
    analysis, mask, _ = analyze(boxes, {"e/a": [True, True, True, False], "e/none": []}, detections)
    split = analysis.split(mask)
    counts = {kind: int(split.is_kind[kind].sum()) for kind in KINDS}
    assert counts == {MISSED: 1, BADLY_PLACED: 2, DUPLICATE: 1, BACKGROUND: 1}
    assert (split.num_faces, split.num_not_found) == (3, 2)
    assert split.ap == pytest.approx(1 / 3)  # the first proposal finds a face, no other one does
    assert split.gain[BADLY_PLACED] == pytest.approx(1 / 3)  # the second too
    assert split.gain[MISSED] == pytest.approx(1 / 2 - 1 / 3)
    assert split.gain[DUPLICATE] == split.gain[BACKGROUND] == pytest.approx(0)
    assert split.gain_false_positives == pytest.approx(0)
    assert split.gain_false_negatives == pytest.approx(1 - 1 / 3)
    gains = analysis.gains_of_detections(mask)
    assert gains[:6] == pytest.approx([0, 1 / 3, 0, 0, 0, 0])


def test_nothing_to_find_and_nothing_detected():
    boxes, kept = {"e/a": [[0, 0, 9, 9]]}, {"e/a": [True]}
    analysis, mask, _ = analyze(boxes, kept, {})
    split = analysis.split(mask)
    assert split.ap == 0 and split.is_kind[MISSED].all()
    assert np.isnan(split.gain[MISSED])  # no face is left
    assert len(analysis.gains_of_detections(mask)) == 0
    for faces in ([], [[0, 0, 9, 9]]):
        case = {"e/a": faces}, {"e/a": [False] * len(faces)}, {"e/a": [[50, 0, 9, 9, 0.5]]}
        analysis, mask, _ = analyze(*case)
        split = analysis.split(mask)
        assert np.isnan(split.ap) and not split.is_kind[MISSED].any()
        assert split.is_kind[BACKGROUND].sum() == len(faces)
        assert analysis.gains_of_detections(mask).tolist() == [0]


def test_split_of_a_published_result_has_its_average_precision(shared_data):
    folder = shared_data / "official/wider_face"
    archive = folder / "detections/retinaface_resnet152.zip"
    truth = load_ground_truth(folder / "eval_tools/ground_truth")
    analysis = ErrorAnalysis(read_detections(archive), truth)
    published = json.loads((archive.parent / "expected_ap.json").read_text())[archive.name]
    for setting, kept in truth.kept.items():
        split = analysis.split(kept)
        assert split.ap == pytest.approx(published[f"AP_{setting}"], abs=1e-12)
        assert split.ap_without_errors == pytest.approx(1)
        assert all(gain >= 0 for gain in split.gain.values())
