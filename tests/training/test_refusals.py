"""What a run cannot start from, told by train_net.py before anything is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from df2s2_d2.cli import train
from df2s2_d2.cli.program import build_parser
from df2s2_d2.training.run import setup
from tests.small_runs import NARROW, SMALLEST_CONFIG
from tests.training.watched_runs import watched_config, watched_run

pytestmark = pytest.mark.usefixtures("drawn_data")


def refusal(folder: Path, *arguments: str) -> str:
    """What train_net.py says before it gives up, without a process of its own."""
    fixed = ["--config-file", SMALLEST_CONFIG, "OUTPUT_DIR", str(folder)]
    fixed += ["DATASETS.TRAIN", "('drawn_train',)", "DATASETS.TEST", "()"]
    fixed += [str(part).replace("__", ".") for pair in NARROW.items() for part in pair]
    flags = [argument for argument in arguments if argument.startswith("--")]
    overrides = [argument for argument in arguments if not argument.startswith("--")]
    with pytest.raises(SystemExit) as caught:
        setup(build_parser(train, "train_net.py").parse_args([*flags, *fixed, *overrides]))
    assert re.fullmatch(r"train_net.py: [^\n]+", caught.value.code)
    return caught.value.code


def test_another_detector_is_refused_before_anything_is_written(tmp_path):
    watched_run(watched_config(tmp_path, SOLVER__MAX_ITER=1))
    (tmp_path / "config.yaml").write_text("as it was")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    message = refusal(tmp_path, "--resume", "MODEL.SHOT.HEAD.CONV_DIM", "64")
    assert "model_final.pth is a checkpoint of another detector" in message
    assert "other shapes have" in message and "OUTPUT_DIR" in message
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


class Code:
    def __reduce__(self):
        return print, ("code has run",)


def test_weights_that_would_run_code_are_one_sentence(tmp_path, capfd):
    output, path = tmp_path / "output", tmp_path / "x.pth"
    torch.save({"model": Code()}, path)
    assert f"{path} is no checkpoint" in refusal(output, "MODEL.WEIGHTS", str(path))
    path = tmp_path / "x.pkl"
    path.touch()
    for query in ("", "?y=1", "?matching_heuristics=True"):
        assert "pickles are not loaded" in refusal(output, "MODEL.WEIGHTS", f"{path}{query}")
    zoo = "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
    assert "torch.save" in refusal(output, "MODEL.WEIGHTS", zoo)
    torch.save({"other": torch.ones(1)}, tmp_path / "y.pth")
    assert "Not one tensor" in refusal(output, "MODEL.WEIGHTS", str(tmp_path / "y.pth"))
    assert not output.exists() and "code has run" not in capfd.readouterr().out
