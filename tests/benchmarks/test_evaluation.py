from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import evaluation, make_table
from benchmarks.wider_face_loops import evaluate_by_loops
from df2s2_d2.evaluation import GroundTruth, evaluate_wider_face
from df2s2_d2.evaluation.fddb import evaluate_fddb
from tests.evaluation.wider_face.ground_truth_files import save_ground_truth
from tests.evaluation.wider_face.reference import evaluate_setting


def test_loops_agree_with_the_description():
    rng = np.random.default_rng(0)
    boxes, kept, found = {}, {}, {}
    for k in range(6):
        faces = rng.integers(0, [60, 60, 25, 25], size=(10 * (k > 0), 4)) + 1
        near = np.concatenate([faces, faces]) + rng.integers(-2, 3, size=(2 * len(faces), 4))
        far = rng.uniform(100, 200, size=(3, 4))
        rows = np.concatenate([near, far])
        boxes[f"e/{k}"], kept[f"e/{k}"] = faces, rng.random(len(faces)) < 0.7
        found[f"e/{k}"] = np.column_stack([rows, rng.random(len(rows)).round(2)])
    truth = GroundTruth.from_annotations(boxes, {"hard": kept})
    lists = [{image: rows.tolist() for image, rows in one.items()} for one in (found, boxes, kept)]
    _, _, area = evaluate_setting(*lists, 0.5)
    assert 0.1 < area < 0.9
    assert evaluate_by_loops(found, truth) == {"AP_hard": pytest.approx(area, abs=1e-12)}


def test_drawn_problem_is_as_large_as_the_real_one_and_not_trivial():
    rng = np.random.default_rng(0)
    truth = evaluation.draw_ground_truth(rng)
    assert (len(truth.images), len(truth.boxes)) == (3226, 39708)
    assert np.bincount(truth.image_index).max() > 200
    detections = evaluation.draw_detections(truth, 50_000, rng)
    assert sum(map(len, detections.values())) == 50_000
    assert 0.1 < evaluate_wider_face(detections, truth).ap["AP_hard"] < 0.95


def test_benchmark_measures_growth_and_the_whole_tool(tmp_path):
    save_ground_truth(tmp_path)
    output = tmp_path / "evaluation.json"
    options = ["--detections", "20", "400", "--max-loops", "20", "--command-detections", "100"]
    options += ["--fddb-detections", "800", "1600"]
    evaluation.main(
        ["--ground-truth", str(tmp_path), *options, "--repeats", "1", "--output", str(output)]
    )
    document = json.loads(output.read_text())
    few, many = document["results"]["growth"]
    assert (few["detections"], many["detections"]) == (20, 400)
    assert few["largest_difference"] < 1e-12
    assert few["loops_seconds"] > few["arrays_seconds"] > 0
    assert many["loops_seconds"] is None
    command = document["results"]["command"]
    assert command["command_seconds"] > command["read_seconds"] > 0
    table = make_table.to_markdown(document)
    assert "not run" in table and "archive of 100 detections" in table
    first, second = document["results"]["fddb"]
    assert (first["detections"], second["detections"]) == (800, 1600)
    assert second["times_the_first"] == second["seconds"] / first["seconds"]
    assert "protocol 800 detections" in table and "; 1,600, " in table


def test_drawn_faces_of_fddb_are_found_among_all_that_is_kept():
    detections, folds, sizes = evaluation.draw_fddb(4000, np.random.default_rng(0))
    result = evaluate_fddb(detections, folds, sizes)
    assert (result.num_images, result.num_faces, result.num_detections) == (5, 10, 4000)
    assert (result.discrete[-1], result.false_positives[-1]) == (1, 3990)
