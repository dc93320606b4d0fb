"""Training and looking for faces on a machine that has next to nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from df2s2_d2 import Predictor
from tests.small_runs import ROOT, SMALLEST, SMALLEST_CONFIG

# Commands in turn, on one core, with 2 GB of memory of its own. What is merely mapped is not
# counted: a GPU's libraries map more than that where there is none.
PROGRAM = """
import json, os, resource, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
from df2s2_d2.cli.program import main
for words in json.loads(sys.argv[1]):
    code = main(words)
    assert not code, code
"""


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file below a folder."""
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are set as on Linux")
def test_one_core_little_memory_no_display_no_home_and_odd_names(sample_dataset, tmp_path):
    root = tmp_path / "Meine Bilder (ü, 人)"
    shutil.copytree(sample_dataset, root)
    image = next((root / "wider_face/WIDER_val/images").rglob("*.jpg"))
    image = image.rename(image.with_name("ein Gesicht ß.jpg"))
    shutil.copytree(image.parent, root / "nur diese")
    before = contents(root)
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:  # which does not keep root from writing; the comparison does
        folder.chmod(0o555)
    photo, output = root / "nur diese" / image.name, tmp_path / "Läufe und Funde"
    settings = SMALLEST | {"SOLVER.MAX_ITER": 2, "TEST.EVAL_PERIOD": 0}
    settings |= {"OUTPUT_DIR": str(output / "Training"), "DATASETS.TEST": "()"}
    train = ["train", "--config-file", SMALLEST_CONFIG]
    train += [str(part) for pair in settings.items() for part in pair]
    detect = ["detect", str(photo), "--output", str(output / "found"), "--save", "json", "wider"]
    own_size = ["TEST.AUG.ENABLED", "False", "INPUT.MIN_SIZE_TEST", "0"]
    detect += ["--opts", *own_size]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "LANG": "C",
        "HOME": "/nonexistent",
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        "DETECTRON2_DATASETS": str(root),
    }
    try:
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps([train, detect])],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=root,
            env=environment,
        )
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert run.returncode == 0, run.stderr[-3000:]
    assert contents(root) == before
    assert (output / "Training/model_final.pth").is_file()
    (record,) = json.loads((output / "found/detections.json").read_text(encoding="utf-8"))
    assert Path(record["file"]).name == image.name
    expected = Predictor("faces-small", overrides=own_size).find(photo)
    confident = [face for face in record["faces"] if face["score"] > 0.5]
    assert len(confident) == (expected.scores > 0.5).sum() > 0
    assert list((output / "found/wider").rglob(f"{image.stem}.txt"))
