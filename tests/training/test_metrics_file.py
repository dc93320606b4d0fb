"""metrics.json of runs that were killed and resumed."""

from __future__ import annotations

import json

import pytest
from detectron2.utils.events import EventStorage

from df2s2_d2.training.durable_files import SavingError
from df2s2_d2.training.metrics_file import MetricsWriter, cut_off, has_figure


def write_lines(path, rows, torn=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)
    return str(path)


def iterations(path) -> list[int]:
    return [json.loads(line)["iteration"] for line in open(path)]


def test_iterations_that_will_be_done_again_are_dropped(tmp_path):
    rows = [{"iteration": i, "lr": 1} for i in (3, 7, 11)]
    path = write_lines(tmp_path / "metrics.json", rows, torn='{"iteration": 12, "l')
    cut_off(path, None)
    assert iterations(path) == [3, 7, 11]
    cut_off(path, 11)
    assert iterations(path) == [3, 7]
    cut_off(path, 8)
    assert iterations(path) == [3, 7]
    cut_off(str(tmp_path / "absent.json"), 8)
    assert not (tmp_path / "absent.json").exists()


def test_the_last_test_of_a_run_stays_when_it_is_extended(tmp_path):
    rows = [{"iteration": 3, "lr": 1}, {"iteration": 4, "wider_face/AP_hard": 0.5}]
    path = write_lines(tmp_path / "metrics.json", [*rows, {"iteration": 4, "lr": 1}])
    cut_off(path, 4)
    assert [json.loads(line) for line in open(path)] == rows


def test_a_figure_is_found_by_the_steps_before_it(tmp_path):
    path = str(tmp_path / "metrics.json")
    assert not has_figure(path, "AP", 4)
    rows = [{"iteration": 3, "lr": 1, "AP": 0.1}]
    write_lines(tmp_path / "metrics.json", rows, torn='{"iteration": 4')
    assert has_figure(path, "AP", 4)
    assert not has_figure(path, "AP", 3) and not has_figure(path, "AP_hard", 4)
    # Behind the last step of a run the iteration is one higher, and there is no rate.
    write_lines(tmp_path / "metrics.json", [{"iteration": 8, "AP": 0.2}])
    assert has_figure(path, "AP", 8)


def test_lines_are_added_as_by_detectron2(tmp_path):
    path = write_lines(tmp_path / "metrics.json", [{"iteration": 0}])
    writer = MetricsWriter(path)
    with EventStorage(5) as storage:
        storage.put_scalar("lr", 0.5, smoothing_hint=False)
        writer.write()
    writer.close()
    assert [json.loads(line) for line in open(path)] == [
        {"iteration": 0},
        {"iteration": 5, "lr": 0.5},
    ]


def test_a_full_disk_is_one_sentence():
    writer = MetricsWriter("/dev/full")
    with EventStorage(5) as storage, pytest.raises(SavingError, match="/dev/full cannot be writ"):
        storage.put_scalar("lr", 0.5)
        writer.write()
