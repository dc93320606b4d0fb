"""MODEL_ZOO.md says what the index and the files of results say, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import model_zoo
from benchmarks.make_table import RESULTS
from df2s2_d2.tables.index import read_tables

CONFIG = "DF2S2/ablations/RetinaNet_R50.yaml"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RESULTS, tmp_path / "results"))


def write_run(results: Path, folder: str, seed: int, hard: float, **changes) -> None:
    """The result of a run of the baseline of table 2, as ``df2s2 table`` writes it."""
    run = {
        "table": "df2s2-2",
        "row": "retinanet",
        "seed": seed,
        "command": f"df2s2 train --config-file {CONFIG} SEED {seed}",
        "scale": {"cost": 1.0, "image": None, "batch": None},
        "overrides": "",
        "ap": {"easy": 0.9, "medium": 0.8, "hard": hard},
        "test_images": 3226,
        "protocol": {"resize": "short side 800", "scales": [], "name": "df2s2-single-scale"},
        "training": {"steps": 48300, "batch_size": 32, "hours": 3.0, "peak_memory_mb": 7000.0},
        "code": ["abc"],
        "hardware": {"device_type": "cuda", "device": "A GPU", "processes": 4, "threads": 1},
        "torch": "2.14",
    }
    path = results / "tables" / folder / f"retinanet.seed-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run | changes))


def test_the_page_is_what_the_files_say():
    assert model_zoo.PAGE.read_text(encoding="utf-8") == model_zoo.page()


def test_every_row_of_the_papers_stands_there_with_its_figures():
    text = model_zoo.page()
    for table in read_tables().values():
        assert f"### `{table.name}`: {table.title}\n" in text
        for row in table.rows:
            assert row.label in text
            for figure in row.paper.values():
                assert f"{figure:.1f}" in text


def test_a_changed_figure_changes_the_page(results):
    path = results / "recorded/faces_small.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))
    easy, medium, hard = (cell["ap"] for cell in recorded["blocks"][1]["rows"][0][1:])
    easy[0] = 0.123
    path.write_text(json.dumps(recorded), encoding="utf-8")
    assert f"| 0.123 | {medium[0]:.3f} | {hard[0]:.3f} |" in model_zoo.page(results)


def test_whole_trainings_stand_beside_the_papers_figures(results):
    write_run(results, "df2s2-2", seed=1, hard=0.74)
    write_run(results, "df2s2-2", seed=2, hard=0.75)
    text = model_zoo.page(results)
    part = text[text.index("## The papers' tables") :]
    (line,) = [x for x in part.splitlines() if "± " in x]
    assert "48,300 x 32 | 92.9 / 90.9 / 74.2 | 90.0 ± 0.0 / 80.0 ± 0.0 / 74.5 ± 0.7 | 3.0 h" in line
    assert "| 7.0 GB |" in line and line.endswith("| 36.9 M | not published |")


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (
            {"scale": {"cost": 0.01, "image": 0.5, "batch": None}},
            " --scale 0.01 --image-scale 0.5 --num-gpus 4",
        ),
        ({"overrides": "SOLVER.AMP.ENABLED True"}, " --num-gpus 4 --opts SOLVER.AMP.ENABLED True"),
        ({"test_images": 200}, " --num-gpus 4"),
    ],
)
def test_others_stand_apart_with_their_commands(results, change, options):
    write_run(results, "small", seed=2, hard=0.5, **change)
    write_run(results, "small", seed=1, hard=0.5, **change)
    text = model_zoo.page(results)
    part = text[text.index("## Tables at a share of their cost") : text.index("## The papers' t")]
    assert "| 90.0 ± 0.0 | 80.0 ± 0.0 | 50.0 ± 0.0 | 92.9 / 90.9 / 74.2 | 1, 2 | 3.0 h |" in part
    assert f"\ndf2s2 table df2s2-2 --rows retinanet --seeds 1 2{options}\n" in part
    assert "50.0" not in text[text.index("## The papers' tables") :]


def test_a_page_that_was_changed_by_hand_is_noticed(tmp_path, monkeypatch):
    page = tmp_path / "MODEL_ZOO.md"
    page.write_text(model_zoo.page().replace("| 0.", "| 1.", 1), encoding="utf-8")
    monkeypatch.setattr(model_zoo, "PAGE", page)
    with pytest.raises(SystemExit, match="MODEL_ZOO.md is not what the files say"):
        model_zoo.main(["--check"])
    model_zoo.main([])
    model_zoo.main(["--check"])
