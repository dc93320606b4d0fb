"""What a tracker gets, whatever becomes of it: a tracker of memory, and ones that fail."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from detectron2.utils.events import EventStorage

from df2s2_d2.training.trackers import TrackedRun, Tracker, TrackerWriter
from df2s2_d2.training.trackers.run_ids import read_run_id
from df2s2_d2.training.trackers.tracker import flat_settings, plain_name
from df2s2_d2.training.trackers.tracker_writer import as_picture


class Notebook(Tracker):
    """Keeps what it is told."""

    def __init__(self, run: TrackedRun):
        self.run = run
        self.id = run.id or "first"
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.pictures: list[tuple[int, str, tuple[int, ...]]] = []
        self.endings: list[bool] = []

    def log(self, iteration, figures):
        self.rows.append((iteration, figures))

    def log_picture(self, iteration, name, picture):
        self.pictures.append((iteration, name, picture.shape))

    def finish(self, is_complete):
        self.endings.append(is_complete)


class Flaky(Notebook):
    """Refuses some iterations."""

    def log(self, iteration, figures):
        if iteration in (1, 2):
            raise ConnectionError("no route\nto host")
        super().log(iteration, figures)


def writer_of(folder: Path, begin, is_resumed=False, **options) -> tuple[TrackerWriter, list]:
    """A writer of a run of four steps, and the trackers that it has begun."""
    begun = []

    def begin_noted(run: TrackedRun) -> Tracker:
        begun.append(begin(run))
        return begun[-1]

    settings = {"SEED": 1}
    writer = TrackerWriter(
        "notebook", begin_noted, folder, settings, 4, lambda: is_resumed, **options
    )
    return writer, begun


def report(writer: TrackerWriter, steps: range) -> None:
    """A training that reports after every step."""
    with EventStorage(steps.start) as storage:
        for step in steps:
            storage.iter = step
            storage.put_scalar("loss", 10.0 + step)
            storage.put_scalar("lr", 0.1, smoothing_hint=False)
            writer.write()
        storage.iter = steps.stop
        writer.write()
        writer.close()


def test_a_tracker_gets_every_report_once_and_the_end(tmp_path):
    writer, begun = writer_of(tmp_path / "some/run", Notebook)
    (tmp_path / "some/run").mkdir(parents=True)
    report(writer, range(4))
    (notebook,) = begun
    # Losses are medians of what has been seen so far, as in metrics.json.
    medians = [10.0, 10.5, 11.0, 11.5]
    assert notebook.rows == [(i, {"loss": medians[i], "lr": 0.1}) for i in range(4)]
    assert notebook.endings == [True]
    assert notebook.run.name == "some/run" and notebook.run.settings == {"SEED": 1}


def test_a_run_that_stops_is_gone_on_with_and_another_one_is_not(tmp_path):
    for is_resumed, steps, expected in (
        (False, range(2), None),
        (True, range(2, 4), "first"),
        (False, range(4), None),
    ):
        writer, begun = writer_of(tmp_path, Notebook, is_resumed=is_resumed)
        report(writer, steps)
        assert begun[0].run.id == expected
        assert begun[0].endings == [steps.stop == 4]
    assert read_run_id(tmp_path, "notebook") == "first"


def test_a_run_without_a_tracker_so_far_begins_one_when_it_is_resumed(tmp_path):
    writer, begun = writer_of(tmp_path, Notebook, is_resumed=True)
    report(writer, range(2, 4))
    assert begun[0].run.id is None


def test_pictures_come_as_rows_of_rgb(tmp_path):
    writer, begun = writer_of(tmp_path, Notebook)
    with EventStorage(3) as storage:
        storage.put_image("curves", np.zeros((3, 4, 5), np.uint8))
        writer.write()
        storage.iter = 4
        writer.close()
    assert begun[0].pictures == [(3, "curves", (4, 5, 3))]
    picture = as_picture(np.stack([np.full((2, 2), value) for value in (0.0, 0.5, 1.0)]))
    assert picture.dtype == np.uint8 and picture[0, 0].tolist() == [0, 128, 255]


def test_a_tracker_that_cannot_begin_is_told_once_and_leaves_no_id(tmp_path, caplog):
    def begin(run):
        raise OSError("the server\nis down")

    writer, _ = writer_of(tmp_path, begin)
    report(writer, range(4))
    first, last = (record.message for record in caplog.records)
    assert first == "notebook fails, and the training goes on without it: the server is down"
    # Its beginning, four reports and the end.
    assert last == "notebook lacks 6 reports: metrics.json has them"
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_fails_for_a_while_gets_what_follows(tmp_path, caplog):
    writer, begun = writer_of(tmp_path, Flaky)
    report(writer, range(4))
    assert [iteration for iteration, _ in begun[0].rows] == [0, 3] and begun[0].endings == [True]
    first, last = (record.message for record in caplog.records)
    assert first.endswith("goes on without it: no route to host") and "lacks 2 reports" in last


def test_a_tracker_that_hangs_holds_nothing_up(tmp_path, caplog):
    released = threading.Event()

    class Hanging(Notebook):
        def log(self, iteration, figures):
            released.wait()

    writer, _ = writer_of(tmp_path, Hanging, seconds_to_finish=0.01)
    report(writer, range(4))
    assert "has not taken all figures within 0.01 s" in caplog.text
    released.set()
    writer._thread.join(60)
    assert not writer._thread.is_alive()


def test_a_tracker_that_does_not_keep_up_bounds_what_waits(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("df2s2_d2.training.trackers.tracker_writer._MOST_WAITING", 2)
    released = threading.Event()

    class Slow(Notebook):
        def __init__(self, run):
            released.wait()
            super().__init__(run)

    writer, begun = writer_of(tmp_path, Slow)
    with EventStorage(0) as storage:
        for storage.iter in range(4):
            storage.put_scalar("loss", 1.0)
            writer.write()
        released.set()
        writer.close()
    assert [iteration for iteration, _ in begun[0].rows] == [0, 1] and begun[0].endings == [False]
    assert "does not keep up with 2 reports" in caplog.text and "lacks 2 reports" in caplog.text


def test_without_a_report_nothing_begins(tmp_path):
    writer, begun = writer_of(tmp_path, Notebook)
    with EventStorage(0):
        writer.close()
    assert begun == []


@pytest.mark.parametrize(
    ("name", "plain"),
    [("wider_face/AP_hard", "wider_face/AP_hard"), ("[metric]grad_scaler", "_metric_grad_scaler")],
)
def test_names_and_settings_are_what_trackers_take(name, plain):
    assert plain_name(name) == plain
    nested = {"SEED": 1, "SOLVER": {"STEPS": [1, 2], "EMA": {"DECAY": 0.9}}}
    flat = {"SEED": 1, "SOLVER.STEPS": [1, 2], "SOLVER.EMA.DECAY": 0.9}
    assert flat_settings(nested) == flat
