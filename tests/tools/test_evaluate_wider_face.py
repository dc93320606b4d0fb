from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.evaluation import write_detections
from tests.evaluation.wider_face.ground_truth_files import save_ground_truth


@pytest.fixture
def run_script(run_tool):
    return partial(run_tool, "evaluate_wider_face")


def test_published_figures_to_the_last_digit(run_script, shared_data):
    folder = shared_data / "official/wider_face"
    archive = folder / "detections" / "retinaface_resnet152.zip"
    run = run_script(archive, folder / "eval_tools" / "ground_truth", "--json")
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout)
    published = json.loads((folder / "detections" / "expected_ap.json").read_text())[archive.name]
    for name in ("AP_easy", "AP_medium", "AP_hard"):
        assert abs(figures["wider_face"][name] - published[name]) < 1e-12
    assert figures["counts"] == {
        "images": 3226,
        "faces": {"easy": 7211, "medium": 13319, "hard": 31958},
        "detections": 140605,
        "missing_files": 0,
        "unknown_files": 0,
        "unknown_detections": 0,
    }


@pytest.fixture
def small_case(tmp_path) -> tuple[Path, Path]:
    """One of two images has a file, which finds its face; one file is about an unknown image."""
    save_ground_truth(tmp_path)
    write_detections(
        tmp_path / "detections",
        {"0--Parade/a.b_1": np.array([[1, 2, 3, 4, 0.9]]), "9--Press/x": np.zeros((2, 5))},
    )
    return tmp_path / "detections", tmp_path


def test_table_reports_what_was_missing_and_unknown(run_script, small_case):
    run = run_script(*small_case)
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    assert ["AP_easy", "0.33333", "3"] in lines
    assert ["images", "2"] in lines
    assert ["detections", "1"] in lines
    assert any(line[:3] == ["missing", "files", "1"] for line in lines)
    assert any(line[:3] == ["unknown", "files", "1"] for line in lines)


def test_json_goes_to_the_file_named(run_script, small_case, tmp_path):
    run = run_script(*small_case, "--json", tmp_path / "scores.json")
    assert run.returncode == 0 and "AP_hard" in run.stdout
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["wider_face"] == {f"AP_{s}": 1 / 3 for s in ("easy", "medium", "hard")}
    assert (scores["counts"]["missing_files"], scores["counts"]["unknown_files"]) == (1, 1)
    assert scores["counts"]["unknown_detections"] == 2


def test_protocol_is_printed_beside_the_figures(run_script, small_case):
    detections, truth = small_case
    assert run_script(*small_case).stdout.startswith("[protocol unknown]\n")
    (detections.parent / "protocol.json").write_text('{"resize": "VGA", "nms_threshold": 0.4}')
    assert run_script(*small_case).stdout.startswith("[VGA, NMS 0.4]\n")
    figures = json.loads(run_script(*small_case, "--json").stdout)
    assert (figures["protocol"]["resize"], figures["protocol"]["flip"]) == ("VGA", False)


def test_coco_figures_stand_below(run_script, small_case):
    run = run_script(*small_case, "--coco")
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    # One of three faces, all below 32² pixels: recalls 0 to 0.33, 34 of the 101.
    assert ["AP75", "0.33663", "IoU", "0.75"] in lines
    assert ["APl", "nan", "above", "96²", "px"] in lines
    figures = json.loads(run_script(*small_case, "--coco", "--json").stdout)
    assert figures["coco"]["AP50"] == pytest.approx(34 / 101)
    assert figures["coco"]["APl"] is None


def test_setting_without_faces_is_null_in_json(run_script, small_case):
    save_ground_truth(small_case[1], kept_lists=((), ()))
    run = run_script(*small_case, "--json")
    assert json.loads(run.stdout)["wider_face"]["AP_easy"] is None


def test_errors_are_one_line(run_script, small_case):
    detections, truth = small_case
    (truth / "wider_easy_val.mat").unlink()
    run = run_script(detections, truth)
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1 and "wider_easy_val.mat not found" in run.stderr
