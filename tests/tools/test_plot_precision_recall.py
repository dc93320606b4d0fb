from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.evaluation import write_detections
from tests.evaluation.wider_face.ground_truth_files import save_ground_truth


@pytest.fixture
def run_script(run_tool):
    return partial(run_tool, "plot_precision_recall")


@pytest.fixture
def case(tmp_path) -> Path:
    """Ground truth, detections that find one of three faces, their protocol, a published curve."""
    save_ground_truth(tmp_path)
    write_detections(tmp_path / "found", {"0--Parade/a.b_1": np.array([[1, 2, 3, 4, 0.9]])})
    (tmp_path / "protocol.json").write_text('{"resize": "short side 800"}')
    (tmp_path / "published").mkdir()
    (tmp_path / "published/Net_hard.csv").write_text("precision,recall\n1,0.5\n")
    return tmp_path


def test_detections_and_published_curves_in_one_command(run_script, case):
    options = ["--ground-truth", case, "--detections", f"one={case}/found", f"two={case}/found"]
    run = run_script(
        *("--output", case / "curves.png", case / "curves.pdf"),
        *options,
        *("--curves", case / "published"),
    )
    assert run.returncode == 0, run.stderr
    assert (case / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (case / "curves.pdf").read_bytes().startswith(b"%PDF")
    header, *rows = [line.split() for line in run.stdout.splitlines()]
    assert header == ["AP_easy", "AP_medium", "AP_hard"]
    assert rows == [
        ["one", "0.3333", "0.3333", "0.3333", "short", "side", "800"],
        ["two", "0.3333", "0.3333", "0.3333", "short", "side", "800"],
        ["Net", "0.5000", "published", "curve"],
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to draw"),
        (["--detections", "found"], "'found' is not of the form NAME=PATH"),
        (["--detections", "one=found"], "scored against --ground-truth"),
        (["--curves", "absent"], "absent not found"),
        (["--curves", "published", "--axes-from", "1"], "--axes-from must lie in [0, 1)"),
        (
            ["--ground-truth", ".", "--detections", "a=found", "a=found"],
            "two sets of detections are called 'a'",
        ),
        (
            ["--ground-truth", ".", "--detections", "Net=found", "--curves", "published"],
            "'Net' is a published method too",
        ),
    ],
)
def test_errors_are_one_line(run_script, case, monkeypatch, options, message):
    monkeypatch.chdir(case)
    run = run_script("--output", "curves.png", *options)
    assert run.returncode != 0
    assert message in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert not (case / "curves.png").exists()
