from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from df2s2_d2.cli import train
from df2s2_d2.cli.program import build_parser
from df2s2_d2.training.run import run, setup
from tests.small_runs import (
    ROOT,
    SMALLEST_CONFIG,
    register_official_below,
    registered,
    smallest_options,
    wider_face_files,
)


def set_up_error(*arguments: str) -> str:
    """What train_net.py says before it gives up, without a process of its own."""
    with pytest.raises(SystemExit) as caught:
        setup(build_parser(train, "train_net.py").parse_args(list(arguments)))
    message = caught.value.code
    assert isinstance(message, str), "a message, which makes the exit code 1"
    assert message.startswith("train_net.py: ")
    assert "\n" not in message
    return message


@pytest.fixture
def broken_annotations(sample_dataset, tmp_path):
    """Arguments of register_wider_face: the drawn training set with letters in the third line."""
    files = wider_face_files(sample_dataset, "train")
    lines = Path(files["annotation_file"]).read_text().splitlines()
    lines[2] = "12 30 x7 40 0 0 0 0 0 0"
    broken = tmp_path / "broken_bbx_gt.txt"
    broken.write_text("\n".join(lines))
    return {**files, "annotation_file": str(broken)}


def test_missing_data_is_one_sentence(monkeypatch):
    register_official_below("/nonexistent", monkeypatch)
    message = set_up_error("--config-file", SMALLEST_CONFIG)
    assert message.startswith("train_net.py: Data set 'wider_face_train'")
    assert "/nonexistent/wider_face/WIDER_train/images does not exist" in message
    assert "DETECTRON2_DATASETS" in message


def test_trains_and_tests_from_the_command_line(sample_dataset, tmp_path, monkeypatch):
    options = map(str, smallest_options(OUTPUT_DIR=str(tmp_path), SOLVER__MAX_ITER=2))
    done = subprocess.run(
        [sys.executable, "train_net.py", "--config-file", SMALLEST_CONFIG, *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DETECTRON2_DATASETS": str(sample_dataset)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model_final.pth").is_file()
    assert (tmp_path / "config.yaml").is_file()
    assert "wider_face" in done.stdout and "AP_hard" in done.stdout

    # The written config alone repeats the run; and testing is as by the end of training.
    submission = tmp_path / "inference/wider_face_val/wider_face_submission"
    before = {path.name: path.read_text() for path in submission.rglob("*.txt")}
    assert before
    for path in submission.rglob("*.txt"):
        path.unlink()
    register_official_below(sample_dataset, monkeypatch)
    words = ["--eval-only", "--resume", "--config-file", str(tmp_path / "config.yaml")]
    run(build_parser(train, "train_net.py").parse_args(words))
    assert {path.name: path.read_text() for path in submission.rglob("*.txt")} == before
    results = json.loads((submission.parent / "results.json").read_text())
    assert results["protocol"]["weights"] == "model_final.pth"


def test_unknown_key_is_one_sentence():
    message = set_up_error("--config-file", SMALLEST_CONFIG, "MODEL.NO_SUCH", "1")
    assert "MODEL.NO_SUCH" in message


def test_missing_config_is_one_sentence():
    assert "configs/absent.yaml" in set_up_error("--config-file", "configs/absent.yaml")


def test_broken_annotation_is_named_by_file_and_line(broken_annotations):
    with registered(train_net_broken=broken_annotations):
        message = set_up_error(
            "--config-file", SMALLEST_CONFIG, "DATASETS.TRAIN", "('train_net_broken',)"
        )
    assert f"{broken_annotations['annotation_file']}, line 3" in message
    assert "x7" in message


def test_missing_weights_are_one_sentence(sample_dataset):
    with registered(
        train_net_train=wider_face_files(sample_dataset, "train"),
        train_net_val=wider_face_files(sample_dataset, "val"),
    ):
        message = set_up_error(
            *("--config-file", SMALLEST_CONFIG),
            *("DATASETS.TRAIN", "('train_net_train',)", "DATASETS.TEST", "('train_net_val',)"),
            *("MODEL.WEIGHTS", "absent.pth"),
        )
    assert "MODEL.WEIGHTS is 'absent.pth'" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--eval-only"], "No trained detector is given to be scored"),
        (["--eval-only", "--resume"], "--resume finds no checkpoint to score"),
        (["--eval-only", "MODEL.WEIGHTS", "absent.pth"], "MODEL.WEIGHTS is 'absent.pth'"),
        (["MODEL.NECK.NAME", "FPPN"], "MODEL.NECK.NAME is 'FPPN' (is it FPN?)"),
        (["SOLVER.REFERENCE_WORLD_SIZE", "3"], "SOLVER.IMS_PER_BATCH is 4"),
    ],
)
def test_what_cannot_run_is_one_sentence_and_leaves_the_folder_alone(tmp_path, arguments, words):
    flags = [argument for argument in arguments if argument.startswith("--")]
    keys = [argument for argument in arguments if argument not in flags]
    (tmp_path / "config.yaml").write_text("of the run before")
    message = set_up_error(
        "--config-file", SMALLEST_CONFIG, *flags, *("OUTPUT_DIR", str(tmp_path)), *keys
    )
    assert words in message
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "of the run before"


def test_nothing_is_written_before_inputs_are_checked(tmp_path):
    output = tmp_path / "output"
    set_up_error(
        *("--config-file", SMALLEST_CONFIG, "OUTPUT_DIR", str(output)),
        *("MODEL.WEIGHTS", "absent.pth", "DATASETS.TRAIN", "()", "DATASETS.TEST", "()"),
    )
    assert not output.exists()
