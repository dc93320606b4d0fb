from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from df2s2_d2.evaluation.fddb import write_detections
from tests.formats.fddb_files import save_folds, save_image_sizes

COUNTS = ("100", "500", "1000", "2000")


@pytest.fixture
def run_script(run_tool):
    return partial(run_tool, "evaluate_fddb")


@pytest.mark.real_data
def test_published_figures(run_script, shared_data):
    folder = shared_data / "official/fddb"
    run = run_script(folder / "results/s3fd/detections.txt", folder / "FDDB-folds", "--json")
    assert run.returncode == 0, run.stderr
    content = json.loads(run.stdout)
    assert list(content["fddb"]) == ["disc", "cont"]
    assert tuple(content["fddb"]["disc"]) == tuple(content["fddb"]["cont"]) == COUNTS
    assert content["fddb"]["disc"]["1000"] == pytest.approx(0.968478, abs=1e-6)
    assert content["fddb"]["cont"]["1000"] == pytest.approx(0.738887, abs=1e-6)
    assert content["counts"]["faces"] == 5171 and content["counts"]["missing_images"] == 0


@pytest.fixture
def small_case(tmp_path) -> tuple[Path, Path]:
    """Twenty images in two folds with a face each; one has no detections, one is unknown."""
    rng = np.random.default_rng(0)
    faces, rows = {}, {}
    for k in range(20):
        x, y = rng.uniform(60, 140, 2)
        faces[f"a/{k}"] = np.array([[40, 28, 1.5, x, y]])
        rows[f"a/{k}"] = np.array([[x - 28, y - 40, 56, 80, 0.9], [0, 0, 5, 5, 0.1 + k / 100]])
    names = list(faces)
    folds = {"01": {i: faces[i] for i in names[:10]}, "02": {i: faces[i] for i in names[10:]}}
    del rows["a/3"]
    present = {**folds, "03": ["b/unknown"]}
    present["01"] = [image for image in folds["01"] if image != "a/3"]
    write_detections(tmp_path / "out", {**rows, "b/unknown": np.ones((2, 5))}, present)
    save_image_sizes(tmp_path / "sizes.csv", dict.fromkeys(faces, (200, 190)))
    return tmp_path / "out", save_folds(tmp_path / "FDDB-folds", folds)


def test_table_says_what_was_counted(run_script, small_case, tmp_path):
    run = run_script(*small_case, "--image-sizes", tmp_path / "sizes.csv")
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    rows = {line[0]: line[1:] for line in lines if line and line[0][0].isdigit()}
    assert list(rows) == ["100", "500", "1,000", "2,000"]
    assert rows["100"][0] == "0.95000" and 0.7 < float(rows["100"][1]) < 0.76
    assert ["images", "20"] in lines and ["faces", "20"] in lines
    assert ["detections", "38"] in lines
    assert any(line[:3] == ["missing", "images", "1"] for line in lines)
    assert any(line[:3] == ["unknown", "images", "1"] for line in lines)
    assert ["protocol", "protocol", "unknown"] in lines


def test_sizes_from_images_are_those_of_the_table(run_script, small_case, tmp_path):
    pictures = tmp_path / "pics"
    (pictures / "a").mkdir(parents=True)
    for k in range(20):
        cv2.imwrite(str(pictures / f"a/{k}.jpg"), np.zeros((190, 200), np.uint8))
    by_table = run_script(*small_case, "--json", "--image-sizes", tmp_path / "sizes.csv")
    by_images = run_script(*small_case, "--json", "--images", pictures)
    assert by_images.returncode == 0, by_images.stderr
    assert by_images.stdout == by_table.stdout
    pictures.rename(tmp_path / "originalPics")  # beside FDDB-folds, where they are looked for
    assert run_script(*small_case, "--json").stdout == by_table.stdout


def test_ellipses_overlap_more_and_are_told_apart(run_script, small_case, tmp_path):
    arguments = (*small_case, "--image-sizes", tmp_path / "sizes.csv", "--json")
    boxes = json.loads(run_script(*arguments).stdout)
    run = run_script(*arguments, tmp_path / "s.json", "--ellipses", "--plot", tmp_path / "r.png")
    assert run.returncode == 0 and "2-fold cross-validation" in run.stdout
    ellipses = json.loads((tmp_path / "s.json").read_text())
    assert boxes["fddb"]["cont"]["1000"] < 0.76
    assert ellipses["fddb"]["cont"]["1000"] > 0.9
    assert "given" in boxes["regions"] and "ellipses" in ellipses["regions"]
    assert cv2.imread(str(tmp_path / "r.png")) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "image sizes are needed"),
        (("--image-sizes", "absent.csv"), "absent.csv"),
        (("--images", "absent"), "0.jpg"),
    ],
)
def test_errors_are_one_line(run_script, small_case, options, message):
    run = run_script(*small_case, *options)
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1 and message in run.stderr


def test_nan_score_is_one_line(run_script, small_case, tmp_path):
    path = small_case[0] / "fold-02-out.txt"
    path.write_text(path.read_text().replace(" 0.9\n", " nan\n", 1))
    run = run_script(*small_case, "--image-sizes", tmp_path / "sizes.csv")
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1 and "fold-02-out.txt, line 3" in run.stderr
