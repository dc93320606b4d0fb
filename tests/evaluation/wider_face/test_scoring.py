from __future__ import annotations

import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.evaluation import (
    GroundTruth,
    average_precision,
    evaluate_wider_face,
    load_ground_truth,
    read_detections,
    write_detections,
)
from tests.evaluation.wider_face.reference import evaluate_setting


def one_image(boxes, kept, setting="easy") -> GroundTruth:
    return GroundTruth.from_annotations(
        {"e/i": np.array(boxes, float)}, {setting: {"e/i": np.array(kept, bool)}}
    )


def test_ap_of_a_case_worked_out_by_hand():
    truth = one_image([[0, 0, 9, 9], [100, 0, 9, 9], [200, 0, 9, 9]], kept=[True, False, True])
    rows = [
        [0, 0, 9, 9, 0.9],  # normalised 1: finds face 0
        [100, 0, 9, 9, 0.8],  # 0.75: on the ignored face, no proposal
        [1, 0, 9, 9, 0.7],  # 0.5: face 0 again, false
        [50, 50, 9, 9, 0.6],  # 0.25: on nothing, false
        [200, 0, 9, 9, 0.5],  # 0: finds face 2
    ]
    result = evaluate_wider_face({"e/i": np.array(rows)}, truth)
    assert result.ap == {"AP_easy": pytest.approx(0.5 * 1 + 0.5 * 0.5, abs=1e-15)}
    assert type(result.ap["AP_easy"]) is float
    at = {round(t, 3): k for k, t in enumerate(result.thresholds)}
    curve = [(result.precision["easy"][at[t]], result.recall["easy"][at[t]]) for t in (0.9, 0.6)]
    assert curve == [(1, 0.5), (1, 0.5)]
    assert result.precision["easy"][at[0.4]] == 1 / 2
    assert result.precision["easy"][at[0.2]] == 1 / 3
    assert (result.precision["easy"][-1], result.recall["easy"][-1]) == (2 / 4, 1)


def test_sides_count_pixels_and_the_threshold_itself_is_enough():
    truth = one_image([[0, 0, 9, 9]], [True])  # 10 x 10 pixels
    half = np.array([[0, 0, 9, 4, 0.5]])  # 10 x 5 of them: 0.5 exactly; 0.444 without the + 1
    assert evaluate_wider_face({"e/i": half}, truth).ap["AP_easy"] == 1
    assert evaluate_wider_face({"e/i": half}, truth, iou_threshold=0.51).ap["AP_easy"] == 0


@pytest.mark.parametrize(
    ("face", "box"),
    [
        ([0, 0, 99, 9], [50, 0, 49, 9]),
        ([0, 0, 99, 9], [0, 0, 49, 9]),
        ([50, 0, 49, 9], [0, 0, 99, 9]),
        ([0, 0, 49, 9], [0, 0, 99, 9]),
        ([0, 0, 9, 99], [0, 50, 9, 49]),
    ],
)
def test_halves_on_either_side_match(face, box):
    """An overlap of exactly one half, at the greatest distance of left edges there can be."""
    truth = one_image([face], [True])
    result = evaluate_wider_face({"e/i": np.array([[*box, 0.5]])}, truth)
    assert result.ap["AP_easy"] == 1


def test_of_equally_good_faces_the_first_is_taken():
    twice = [[300, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]]
    rows = {"e/i": np.array([[0, 0, 9, 9, 0.5]])}
    ignored_first = evaluate_wider_face(rows, one_image(twice, [False, False, True]))
    kept_first = evaluate_wider_face(rows, one_image(twice, [False, True, False]))
    assert ignored_first.ap["AP_easy"] == 0
    assert ignored_first.precision["easy"][-1] == 1  # no proposal was left
    assert kept_first.ap["AP_easy"] == 1


def test_best_face_is_taken_even_when_already_found_and_another_is_free():
    truth = one_image([[0, 0, 9, 9], [3, 0, 9, 9]], [True, True])
    rows = np.array([[0, 0, 9, 9, 0.9], [1, 0, 9, 9, 0.8]])  # both overlap the first one most
    result = evaluate_wider_face({"e/i": rows}, truth)
    assert (result.precision["easy"][-1], result.recall["easy"][-1]) == (0.5, 0.5)


def test_detections_count_in_images_of_ignored_faces_but_not_in_images_without_any():
    boxes = {"e/kept": [[0, 0, 9, 9]], "e/ignored": [[0, 0, 9, 9]], "e/none": []}
    truth = GroundTruth.from_annotations(boxes, {"easy": {"e/kept": np.array([True])}})
    hit, stray = [0, 0, 9, 9, 0.9], [500, 0, 9, 9, 0.8]
    detections = {"e/kept": [hit], "e/ignored": [hit, stray], "e/none": [stray, stray]}
    result = evaluate_wider_face(detections, truth)
    assert result.precision["easy"][-1] == 1 / 2
    assert result.num_detections == 5


@pytest.mark.parametrize("iou_threshold", [0.3, 0.5, 0.75, 1.0])
def test_agrees_with_the_plain_loops(iou_threshold):
    """Crowded integer boxes and coarse scores, so that overlaps and scores tie all the time."""
    rng = np.random.default_rng(7)
    boxes, detections = {}, {}
    for k in range(12):
        faces = rng.integers(0, [60, 60, 25, 25], size=(rng.integers(0, 25), 4))
        faces[rng.random(len(faces)) < 0.1, 2] = -1  # as a few annotated boxes are
        faces = np.concatenate([faces, faces[:2]])
        near = faces[rng.integers(0, len(faces), 30)] if len(faces) else np.zeros((30, 4))
        near = near + rng.integers(-2, 3, size=near.shape) * rng.choice([0, 0.5, 1])
        far = rng.uniform(-1e4, 1e4, size=(3, 4))
        rows = np.concatenate([near, faces[:4], far])
        scores = rng.integers(0, 40, size=(len(rows), 1)) / 40 - 0.3
        boxes[f"e/{k}"] = faces.tolist()
        if k != 5:
            detections[f"e/{k}"] = np.concatenate([rows, scores], axis=1).tolist()
    kept = {
        setting: {image: (rng.random(len(b)) < share) for image, b in boxes.items()}
        for setting, share in (("easy", 0.2), ("hard", 0.8))
    }
    result = evaluate_wider_face(
        detections, GroundTruth.from_annotations(boxes, kept), iou_threshold
    )
    assert result.num_missing_images == 1
    for setting, masks in kept.items():
        precision, recall, area = evaluate_setting(detections, boxes, masks, iou_threshold)
        assert recall[-1] > 0
        np.testing.assert_array_equal(result.precision[setting], precision)
        np.testing.assert_array_equal(result.recall[setting], recall)
        assert result.ap[f"AP_{setting}"] == pytest.approx(area, abs=1e-12)


def test_matching_in_chunks_changes_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    faces = rng.uniform(0, 100, size=(60, 4))
    rows = np.concatenate([faces + rng.uniform(-3, 3, faces.shape), rng.random((60, 1))], axis=1)
    truth = one_image(faces, rng.random(60) < 0.7)
    whole = evaluate_wider_face({"e/i": rows}, truth)
    monkeypatch.setattr("df2s2_d2.evaluation.box_pairs._PAIRS_PER_CHUNK", 50)
    pieces = evaluate_wider_face({"e/i": rows}, truth)
    assert 0 < whole.ap["AP_easy"] < 1
    np.testing.assert_array_equal(pieces.recall["easy"], whole.recall["easy"])
    np.testing.assert_array_equal(pieces.precision["easy"], whole.precision["easy"])


def test_scores_are_normalised_over_the_images_of_the_ground_truth_only():
    truth = one_image([[0, 0, 9, 9], [50, 0, 9, 9]], [True, True])
    rows = np.array([[0, 0, 9, 9, 3.0], [50, 0, 9, 9, 1.0], [90, 0, 9, 9, 2.0]])
    stray = np.array([[0, 0, 9, 9, 1e9]] * 4)
    result = evaluate_wider_face({"e/i": rows, "e/other": stray}, truth)
    assert result.recall["easy"][400] == 0.5  # 1e9 would press all of them to 0
    assert result.ap["AP_easy"] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert (result.num_unknown_images, result.num_unknown_detections) == (1, 4)
    assert (result.num_images, result.num_detections, result.num_missing_images) == (1, 3, 0)


def test_equal_scores_make_a_curve_of_one_point():
    truth = one_image([[0, 0, 9, 9], [50, 0, 9, 9]], [True, True])
    rows = np.array([[0, 0, 9, 9, 0.7], [90, 0, 9, 9, 0.7], [190, 0, 9, 9, 0.7]])
    assert evaluate_wider_face({"e/i": rows}, truth).ap["AP_easy"] == pytest.approx(0.5 / 3)


def test_no_detections_and_no_faces():
    truth = one_image([[0, 0, 9, 9]], [True])
    result = evaluate_wider_face({}, truth)
    assert result.ap == {"AP_easy": 0.0}
    assert (result.num_detections, result.num_missing_images) == (0, 1)
    faceless = GroundTruth.from_annotations({"e/i": []}, {"easy": {}})
    rows = np.array([[0, 0, 9, 9, 0.9]])
    assert np.isnan(evaluate_wider_face({"e/i": rows}, faceless).ap["AP_easy"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 0, 9, 9]], r"e/i: expected an array of shape \(n, 5\), got \(1, 4\)"),
        ([[0, 0, 9, 9, 0.1], [0, 0, 9, 9, np.nan]], "e/i: row 1 holds nan or inf"),
        ([[np.inf, 0, 9, 9, 0.1]], "e/i: row 0 holds nan or inf"),
    ],
)
def test_malformed_arrays_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        evaluate_wider_face({"e/i": np.array(rows)}, one_image([[0, 0, 9, 9]], [True]))


def test_iou_threshold_must_be_a_fraction():
    with pytest.raises(ValueError, match="iou_threshold"):
        evaluate_wider_face({}, one_image([[0, 0, 9, 9]], [True]), iou_threshold=50)


def test_average_precision_takes_the_monotone_envelope():
    # Envelope 0.8 up to recall 0.4, then 0.5 up to 0.6, nothing beyond.
    area = average_precision(np.array([0.2, 0.4, 0.6]), np.array([0.5, 0.8, 0.5]))
    assert area == pytest.approx(0.4 * 0.8 + 0.2 * 0.5)


def test_real_detections_agree_with_the_plain_loops(shared_data):
    """Every fortieth image, read unsorted, against the loops: real crowds, real near-ties."""
    folder = shared_data / "official/wider_face"
    truth = load_ground_truth(folder / "eval_tools" / "ground_truth")
    detections = read_detections(folder / "detections" / "retinaface_resnet152.zip")
    rng = np.random.default_rng(0)
    boxes, kept, chosen = {}, {setting: {} for setting in truth.kept}, {}
    for k, image in list(enumerate(truth.images))[::40]:
        of_image = truth.image_index == k
        boxes[image] = truth.boxes[of_image].tolist()
        for setting, mask in truth.kept.items():
            kept[setting][image] = mask[of_image]
        chosen[image] = rng.permutation(detections[image])
    result = evaluate_wider_face(chosen, GroundTruth.from_annotations(boxes, kept))
    rows = {image: table.tolist() for image, table in chosen.items()}
    for setting, masks in kept.items():
        precision, recall, area = evaluate_setting(rows, boxes, masks, 0.5)
        np.testing.assert_array_equal(result.precision[setting], precision)
        np.testing.assert_array_equal(result.recall[setting], recall)
        assert result.ap[f"AP_{setting}"] == pytest.approx(area, abs=1e-12)


def test_a_million_detections_in_bounded_memory(tmp_path):
    num_images, num_rows, num_faces = 1000, 1000, 20
    rng = np.random.default_rng(0)
    faces = rng.uniform(0, 1000, size=(num_faces, 4)).round(1) / [1, 1, 10, 10]
    rows = np.tile(faces, (num_rows // num_faces, 1)) + rng.normal(size=(num_rows, 4)).round(1)
    rows[:, 2:] = np.abs(rows[:, 2:])
    rows = np.concatenate([rows, rng.random((num_rows, 1)).round(4)], axis=1)
    write_detections(tmp_path, {"e/i": rows})
    text = (tmp_path / "e" / "i.txt").read_text()
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(num_images):
            archive.writestr(f"e/{k}.txt", text)
    boxes = {f"e/{k}": faces for k in range(num_images)}
    tracemalloc.start()
    result = evaluate_wider_face(read_detections(path), GroundTruth.from_heights(boxes))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.num_detections == 1_000_000
    single = evaluate_wider_face({"e/0": rows}, GroundTruth.from_heights({"e/0": faces}))
    assert result.ap == pytest.approx(single.ap, abs=1e-12)
    assert 0 < result.ap["AP_hard"] < 1
    assert peak < 500e6


def test_evaluation_imports_neither_torch_nor_detectron2():
    code = (
        "import sys, df2s2_d2.evaluation\n"
        "print([name for name in ('torch', 'detectron2', 'scipy') if name in sys.modules])"
    )
    repository = Path(__file__).resolve().parents[3]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=repository
    )
    assert run.stdout.strip() == "[]", run.stderr
