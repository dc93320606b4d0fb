from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import multiprocessing

from df2s2_d2.evaluation import read_detections
from tests.distributed_evaluation import evaluate, run_worker
from tests.small_runs import wider_face_files


def test_two_processes_score_as_one(sample_dataset, tmp_path):
    """Also where images do not divide evenly, and where a process has none at all."""
    val = wider_face_files(sample_dataset, "val")
    first_path, first_count, *rows = Path(val["annotation_file"]).read_text().splitlines()
    first_image = tmp_path / "first_image.txt"
    first_image.write_text("\n".join([first_path, first_count, *rows[: int(first_count)]]))
    data_sets = {
        "three_images": val,
        "one_image": {"image_dir": val["image_dir"], "annotation_file": str(first_image)},
    }
    workers = evaluate_by_processes(2, tmp_path, data_sets)
    alone = evaluate(str(tmp_path / "alone"), data_sets)
    for name, sizes in (("three_images", [2, 1]), ("one_image", [1, 0])):
        assert [len(worker[name]["seen"]) for worker in workers] == sizes
        assert workers[0][name]["seen"] + workers[1][name]["seen"] == alone[name]["seen"]
        expected = pytest.approx(alone[name]["results"]["wider_face"], rel=0, abs=0, nan_ok=True)
        assert workers[0][name]["results"]["wider_face"] == expected
        assert not workers[1][name]["results"]
        submission = f"inference/{name}/wider_face_submission"
        written = read_detections(tmp_path / submission)
        expected_files = read_detections(tmp_path / "alone" / submission)
        assert written.keys() == expected_files.keys()
        assert all((written[image] == rows).all() for image, rows in expected_files.items())
    assert 0.05 < alone["three_images"]["results"]["wider_face"]["AP_hard"] < 0.95


def evaluate_by_processes(num_processes: int, folder: Path, data_sets: dict) -> list[dict]:
    """What each of several processes gives. Their exit codes do not count: gloo may abort a
    process at its very end, behind all results.
    """
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=run_worker, args=(rank, num_processes, str(folder), data_sets))
        for rank in range(num_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=600)
        if process.is_alive():
            process.kill()
    files = [folder / f"worker_{rank}.json" for rank in range(num_processes)]
    assert all(file.is_file() for file in files), "a process failed; see its traceback above"
    return [json.loads(file.read_text()) for file in files]
