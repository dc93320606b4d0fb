"""Workers write parts that are whole, do none twice, and find what ends them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from df2s2_d2.inference.ray_data import part_worker
from df2s2_d2.inference.ray_data.face_table import TABLE_FORMATS
from df2s2_d2.inference.ray_data.image_list import write_list
from df2s2_d2.inference.ray_data.output_folder import OutputFolder
from df2s2_d2.inference.ray_data.part_worker import Job, PartSummary, PartWorker, part_file
from tests.inference.ray_data.conftest import SCORE_THRESHOLD
from tests.inference.ray_data.test_find_faces import check_rows

NAMES = ["0.png", "1.png", "text.jpg", "2.png", "3.png"]


@pytest.fixture
def job(checkpoint, predictor, pictures, tmp_path) -> Job:
    """Of two parts, the first of four images and the second of one."""
    output = OutputFolder(str(tmp_path / "found"))
    write_list(NAMES, output)
    return Job(
        output=output,
        part_size=4,
        formats=("parquet", "jsonl"),
        config=predictor.cfg.dump(),
        weights_name="model.pth",
        weights=Path(checkpoint).read_bytes(),
        device="cpu",
        threads=torch.get_num_threads(),
        batch_size=2,
        tile_above=4096,
        precision="fp32",
        runtime="auto",
        score_threshold=SCORE_THRESHOLD,
        shown_threshold=0.5,
        root=str(pictures),
    )


class CountingFinder:
    """Stands for FindFaces: notes what it looks at, and dies of some images."""

    def __init__(self, finder, deadly=()):
        self.finder = finder
        self.deadly = deadly
        self.looked_at: list[list[str]] = []

    def in_paths(self, paths):
        self.looked_at.append(list(paths))
        if set(paths) & set(self.deadly):
            raise SystemExit("killed")
        return self.finder.in_paths(paths)


def worker(job: Job, finder=None) -> PartWorker:
    worker = PartWorker(job)
    if finder is not None:
        worker.__dict__["_find_faces"] = finder
    return worker


@pytest.fixture
def finder(shared_finder) -> CountingFinder:
    return CountingFinder(shared_finder)


def test_parts_are_written_in_all_formats(job, expected_rows):
    (row,) = worker_rows(worker(job), 0)
    tables = [
        TABLE_FORMATS[name].decode(job.output.read(part_file(name, 0))) for name in job.formats
    ]
    assert tables[0].equals(tables[1])
    assert tables[0]["file"].to_pylist() == NAMES[:4]
    check_rows(tables[0], "file", expected_rows)
    faces = [score for name in ("0.png", "1.png", "2.png") for *_, score in expected_rows(name)]
    summary = PartSummary.from_row(row)
    assert summary == PartSummary(
        part=0,
        images=4,
        faces=len(faces),
        shown=sum(score > 0.5 for score in faces),
        failures=1,
        told=tuple(tables[0]["error"].drop_null().to_pylist()),
    )
    assert 0 < summary.shown < summary.faces


def worker_rows(worker: PartWorker, part: int) -> list[dict]:
    """The rows of what a worker gives Ray Data for a part."""
    batch = worker({"part": np.array([part])})
    (length,) = {len(column) for column in batch.values()}
    return [{name: column[row] for name, column in batch.items()} for row in range(length)]


def test_what_is_written_is_not_looked_at_again(job, finder):
    first, last = (worker(job, finder).look_at(part) for part in (0, 1))
    assert worker(job, finder).look_at(0) == first
    assert finder.looked_at == [NAMES[:4], NAMES[4:]]
    assert (first.images, last.images) == (4, 1)


@pytest.mark.parametrize("damage", ["remove", "cut", "other"])
def test_a_part_is_done_again_if_a_file_is_not_whole(job, finder, damage):
    worker(job, finder).look_at(0)
    name = part_file("parquet", 0)
    content = job.output.read(name)
    if damage == "remove":
        os.unlink(os.path.join(str(job.output), name))
    else:
        worker(job, finder).look_at(1)
        other = job.output.read(part_file("parquet", 1))
        job.output.write(name, content[:-10] if damage == "cut" else other)
    finder.looked_at.clear()
    worker(job, finder).look_at(0)
    assert [path for paths in finder.looked_at for path in paths] == NAMES[:4]
    table, again = (TABLE_FORMATS["parquet"].decode(x) for x in (content, job.output.read(name)))
    assert again["error"].equals(table["error"]) and len(again) == len(table)


def test_an_image_that_ends_workers_is_found_and_left_out(job, finder):
    """Once with all others, once alone after the first death, once more to be sure of it."""
    finder.deadly = ["1.png"]
    for _ in range(3):
        with pytest.raises(SystemExit):
            worker(job, finder).look_at(0)
        assert job.output.read(part_file("parquet", 0)) is None
    summary = worker(job, finder).look_at(0)
    assert finder.looked_at == [
        NAMES[:4],
        *(["0.png"], ["1.png"]),
        *(["0.png"], ["1.png"]),
        *(["0.png"], ["text.jpg"], ["2.png"]),
    ]
    assert summary.failures == 2
    assert summary.told[0].startswith("The image 1.png ended the worker that looked at it")
    table = TABLE_FORMATS["jsonl"].decode(job.output.read(part_file("jsonl", 0)))
    assert table["file"].to_pylist() == NAMES[:4]


def test_deaths_at_different_images_blame_none(job, finder):
    for deadly in ("0.png", "0.png", "1.png", "2.png"):
        finder.deadly = [deadly]
        with pytest.raises(SystemExit):
            worker(job, finder).look_at(0)
    finder.deadly = []
    assert worker(job, finder).look_at(0).failures == 1  # the text


def test_workers_that_die_before_they_look_end_the_run(job, finder, monkeypatch):
    def die(*_, **__):
        raise SystemExit("killed")

    monkeypatch.setattr(part_worker, "FindFaces", die)
    for _ in range(4):
        with pytest.raises(SystemExit):
            worker(job).look_at(0)
    (row,) = worker_rows(worker(job), 0)
    assert row["fault"].startswith("4 workers died one after the other before they looked at")
    (row,) = worker_rows(worker(job, finder), 0)  # of a run that goes on with fewer of them
    assert row["fault"] == "" and row["images"] > 0


def test_what_keeps_every_part_from_being_done_is_one_sentence(job, finder, monkeypatch):
    def fail(name, content):
        raise OSError("No space left\non device")

    monkeypatch.setattr(job.output, "write", fail)
    (row,) = worker_rows(worker(job, finder), 0)
    assert row["fault"] == "No space left on device"


def test_a_lost_device_ends_the_process(job, finder, monkeypatch):
    def lose(paths):
        raise torch.AcceleratorError("illegal memory access")

    def end(code):
        raise SystemExit(code)

    monkeypatch.setattr(finder, "in_paths", lose)
    monkeypatch.setattr(part_worker.os, "_exit", end)
    with pytest.raises(SystemExit):
        worker_rows(worker(job, finder), 0)


def test_weights_need_not_be_where_workers_are(job):
    job = dataclasses.replace(job, weights=b"text")
    (row,) = worker_rows(worker(job), 0)
    assert "model.pth is no checkpoint" in row["fault"]
