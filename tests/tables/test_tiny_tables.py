"""One row of every table is trained, tested and printed, at next to nothing of its cost."""

from __future__ import annotations

import json
import os
import shlex
import signal
from pathlib import Path

import pytest

from df2s2_d2 import load_config
from df2s2_d2.cli.program import main
from df2s2_d2.tables import runner
from df2s2_d2.tables.index import find_table, read_tables
from df2s2_d2.tables.markdown import figures_in_percent
from tests.small_runs import registered, wider_face_files
from tests.tables.test_markdown import result
from tests.tables.tiny_tables import InThisProcess, tiny_options

# The row that has most of what the table is about.
ROWS = {
    "df2s2-1": "seg-aug-ms",
    "df2s2-2": "fus-seg-aug",
    "df2s2-3": "lambda-1.0",
    "df2s2-4": "r101",
    "dsfd-1": "fem",
    "dsfd-2": "fem-pal",
    "dsfd-3": "fem-iam-r101",
    "dsfd-4": "se-r101",
    "dsfd-6": "fpn-rfb",
    "dsfd-parts": "iam",
}


@pytest.fixture(scope="module")
def data(sample_dataset: Path):
    files = {f"table_{x}": wider_face_files(sample_dataset, x) for x in ("train", "val")}
    with registered(**files):
        yield sample_dataset


@pytest.fixture
def table(data, tmp_path, monkeypatch):
    """Function that runs ``df2s2 table`` on drawn data in this process."""
    monkeypatch.setattr(runner.do_runs, "__defaults__", (print, InThisProcess))

    def run(*words: str, **overrides) -> int:
        options = tiny_options(
            DATASETS__TRAIN="('table_train',)", DATASETS__TEST="('table_val',)", **overrides
        )
        where = ["--data", str(data), "--output", str(tmp_path)]
        return main(["table", *words, *where, "--opts", *options])

    return run


def test_there_is_a_row_for_every_table():
    assert ROWS.keys() == read_tables().keys()


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_every_table_is_trained_tested_and_printed(name, table, tmp_path, capsys):
    if name == "dsfd-4":
        pytest.importorskip("timm")
    row = ROWS[name]
    # That of several scales has no squares.
    size = {} if row.endswith("-ms") else {"INPUT__RESIZE_SQUARE_TRAIN": 128}
    assert table(name, "--rows", row, "--scale", "1e-5", **size) == 0
    printed = capsys.readouterr().out
    (path,) = (tmp_path / name / "results").iterdir()
    result = json.loads(path.read_text())
    assert (result["table"], result["row"], result["seed"]) == (name, row, 1)
    assert all(0 <= figure <= 1 for figure in result["ap"].values())
    assert result["test_images"] == 3 and result["training"]["steps"] == 2
    assert result["training"]["peak_memory_mb"] > 100
    assert (
        f"DATASETS.TRAIN {shlex.quote(chr(40) + chr(39) + 'table_train' + chr(39) + ',)')}"
        in (result["command"])
    )
    (line,) = [x for x in printed.splitlines() if x.startswith(f"| {label(name, row)} |")]
    for setting, figure in result["ap"].items():
        assert f" {100 * figure:.1f} |" in line, setting
    assert (tmp_path / name / "table.md").read_text() in printed


def label(name: str, row: str) -> str:
    (found,) = find_table(name).choose([row])
    return found.label


def test_what_is_finished_is_not_done_again_and_seeds_make_a_mean(table, tmp_path, capsys):
    words = ("df2s2-2", "--rows", "retinanet", "--scale", "1e-5")
    assert table(*words) == 0
    results = tmp_path / "df2s2-2/results"
    before = (results / "retinanet.seed-1.json").stat().st_mtime_ns
    capsys.readouterr()
    assert table(*words, "--seeds", "1", "2") == 0
    printed = capsys.readouterr().out
    assert "retinanet.seed-1: finished before\n" in printed
    assert (results / "retinanet.seed-1.json").stat().st_mtime_ns == before
    assert sorted(os.listdir(results)) == ["retinanet.seed-1.json", "retinanet.seed-2.json"]
    assert "| 1, 2 |" in printed and " ± " in printed


def test_another_run_in_the_same_place_is_refused(table, tmp_path, capsys):
    words = ("df2s2-2", "--rows", "retinanet", "--scale", "1e-5")
    assert table(*words, SOLVER__MAX_ITER=1) == 0
    capsys.readouterr()
    assert table(*words, SOLVER__MAX_ITER=3) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "SOLVER.MAX_ITER 1 -> 3" in line and "name another --output" in line
    # Also where the folder of the training is removed, which takes most of the room.
    for path in sorted((tmp_path / "df2s2-2/runs").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert table(*words, SOLVER__MAX_ITER=3) == 1
    assert "its config is another one" in capsys.readouterr().err
    # How many processes load images is another matter.
    assert table(*words, SOLVER__MAX_ITER=1, SOLVER__CHECKPOINT_KEEP=2) == 0


def test_a_run_that_fails_stops_no_other_one(table, tmp_path, capsys, monkeypatch):
    def fail_once(self) -> int:
        monkeypatch.setattr(InThisProcess, "wait", wait)
        (tmp_path / "df2s2-2/runs/retinanet.seed-1/console.log").write_text("a\nno memory\n")
        return 1

    wait = InThisProcess.wait
    monkeypatch.setattr(InThisProcess, "wait", fail_once)
    words = ("df2s2-2", "--rows", "retinanet", "fus", "--scale", "1e-5")
    assert table(*words) == 1
    printed = capsys.readouterr().out
    assert "retinanet.seed-1: FAILED with exit code 1" in printed and "no memory" in printed
    assert (tmp_path / "df2s2-2/results/fus.seed-1.json").is_file()
    assert table(*words) == 0
    assert (tmp_path / "df2s2-2/results/retinanet.seed-1.json").is_file()


def test_a_signal_ends_all_and_the_same_command_goes_on(table, tmp_path, capsys, monkeypatch):
    def stop_once(self) -> int:
        monkeypatch.setattr(InThisProcess, "wait", wait)
        return 138

    wait = InThisProcess.wait
    monkeypatch.setattr(InThisProcess, "wait", stop_once)
    words = ("df2s2-2", "--rows", "retinanet", "fus", "--scale", "1e-5")
    assert table(*words) == 138
    assert "retinanet.seed-1: stopped" in capsys.readouterr().out
    assert not (tmp_path / "df2s2-2/results").exists()
    assert list((tmp_path / "df2s2-2/claims/retinanet.seed-1").iterdir()) == []
    assert table(*words) == 0
    assert len(list((tmp_path / "df2s2-2/results").iterdir())) == 2


def test_a_signal_that_came_too_late_for_a_run_ends_what_follows(table, tmp_path, monkeypatch):
    monkeypatch.setattr(InThisProcess, "stopped_by", signal.SIGUSR1)
    words = ("df2s2-2", "--rows", "retinanet", "fus", "--scale", "1e-5")
    assert table(*words) == 128 + signal.SIGUSR1
    names = [path.name for path in (tmp_path / "df2s2-2/results").iterdir()]
    assert names == ["retinanet.seed-1.json"]


def test_seeds_of_other_data_or_weights_are_refused(table, data, tmp_path, capsys):
    record = tmp_path / "df2s2-2/runs/fus.seed-2/run.json"
    words = ("df2s2-2", "--rows", "fus", "--scale", "1e-5", "--dry-run")
    assert table(*words) == 0
    config = load_config("DF2S2/ablations/Fus_R50.yaml", ["MODEL.BOTTOM_UP.WEIGHTS", ""])
    for root, weights, told in (
        ("/elsewhere", "", "--data /elsewhere -> "),
        (os.path.realpath(data), "other.pth", "MODEL.BOTTOM_UP.WEIGHTS other.pth -> "),
    ):
        config.MODEL.BOTTOM_UP.WEIGHTS = weights
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"config": config.dump(), "data": root, "code": "abc"}))
        assert table(*words) == 1
        message = capsys.readouterr().err
        assert "fus.seed-1 would not be comparable with fus.seed-2" in message and told in message


def test_a_setting_without_faces_has_no_figure(tmp_path, capsys):
    results = tmp_path / "df2s2-2/results"
    results.mkdir(parents=True)
    ap = {"easy": None, "medium": 0.5, "hard": 0.25}
    (results / "retinanet.seed-1.json").write_text(json.dumps(result(1, 0.25, ap=ap)))
    assert main(["table", "df2s2-2", "--show", "--output", str(tmp_path)]) == 0
    assert "| – | 50.0 | 25.0 |" in capsys.readouterr().out
    assert figures_in_percent(ap) == "– / 50.0 / 25.0"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rows", "fus", "df2s2-2"], "Which table?"),
        (["--dry-run"], "Which table?"),
        (["df2s2-2", "--num-gpus", "0"], "from 1, found 0"),
        (["df2s2-2", "--seeds", "-1"], "from 0, found -1"),
        (["df2s2-2", "--dry-run", "--opts", "DATASETS.TEST", "('fddb',)"], "has no settings Easy"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, told, tmp_path, capsys):
    try:
        assert main(["table", "--output", str(tmp_path), *words]) == 1
    except SystemExit as end:
        assert end.code == 2
    assert told in capsys.readouterr().err


def test_rows_that_others_are_doing_are_left_to_them(table, tmp_path, capsys):
    folder = tmp_path / "df2s2-2/claims/retinanet.seed-1"
    folder.mkdir(parents=True)
    (folder / "1").write_text(json.dumps({"host": "gpu7", "pid": 5, "job": "12"}))
    assert table("df2s2-2", "--rows", "retinanet", "fus", "--scale", "1e-5") == 0
    printed = capsys.readouterr().out
    assert "retinanet.seed-1: process 5 on gpu7, job 12 is doing it\n" in printed
    assert [path.name for path in (tmp_path / "df2s2-2/results").iterdir()] == ["fus.seed-1.json"]


def test_what_is_no_result_is_named(tmp_path, capsys):
    path = tmp_path / "df2s2-2/results/fus.seed-1.json"
    path.parent.mkdir(parents=True)
    for wrong, told in (
        ({}, "KeyError('row')"),
        (result(1, 0.5) | {"seed": "one"}, "no row, or no seed"),
        (result(1, 0.5, ap={"easy": 0.5, "medium": 0.5}), "KeyError('hard')"),
        (result(1, 0.5, ap={"easy": "0.5", "medium": 0.5, "hard": 0.5}), "its figures are"),
        (result(1, 0.5, training=None), "its training is None"),
    ):
        path.write_text(json.dumps(wrong))
        assert main(["table", "df2s2-2", "--show", "--output", str(tmp_path)]) == 1
        message = capsys.readouterr().err
        assert f"{path} is no result of a table's run: " in message and told in message
    for text, message in (
        (b'{\n"ap": }', f"{path}, line 2, column 7: expected JSON"),
        (b"\xff\xfe", f"{path}: expected JSON in UTF-8, found other data"),
        (b"[" * 100_000, f"{path}: expected JSON, found lists or objects nested too deeply"),
    ):
        path.write_bytes(text)
        assert main(["table", "df2s2-2", "--show", "--output", str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


def test_a_page_is_written_whole_and_with_what_others_have_added(tmp_path, monkeypatch, capsys):
    results = tmp_path / "df2s2-2/results"
    results.mkdir(parents=True)

    def add(seed: int) -> None:
        (results / f"retinanet.seed-{seed}.json").write_text(json.dumps(result(seed, 0.7)))

    add(1)
    replace = os.replace

    def replace_late(partial, path) -> None:
        """The other process is done with its run, and with the page, just before."""
        if not (results / "retinanet.seed-2.json").exists():
            add(2)
            assert main(["table", "df2s2-2", "--show", "--output", str(tmp_path)]) == 0
            assert "| 1, 2 |" in capsys.readouterr().out
        replace(partial, path)

    monkeypatch.setattr(os, "replace", replace_late)
    assert main(["table", "df2s2-2", "--show", "--output", str(tmp_path)]) == 0
    page = (tmp_path / "df2s2-2/table.md").read_text(encoding="utf-8")
    assert "| 1, 2 |" in page and page == capsys.readouterr().out
    assert sorted(os.listdir(tmp_path / "df2s2-2")) == ["results", "table.md"]


def test_tables_are_listed_and_commands_shown_without_training(tmp_path, capsys):
    assert main(["table"]) == 0
    printed = capsys.readouterr().out
    assert "df2s2-4: DF²S², table 4" in printed and "pyramidbox  no config" in printed
    repeated = ["--seeds", "1", "--rows", "lambda-1.0", "--seeds", "2"]
    words = ["df2s2-3", "--rows", "lambda-0.5", *repeated, "--dry-run", "--data", "/my d"]
    assert main(["table", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [shlex.split(line)[-1].rpartition("/")[2] for line in lines] == [
        *("lambda-0.5.seed-1", "lambda-1.0.seed-1", "lambda-0.5.seed-2", "lambda-1.0.seed-2"),
    ]
    words = shlex.split(lines[0])
    assert words[:4] == ["DETECTRON2_DATASETS=/my d", "df2s2", "train", "--config-file"]
    assert words[-1] == "tables/df2s2-3/runs/lambda-0.5.seed-1"
