"""Runs of the command, with workers in this process: what they print, refuse and go on with."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ray.exceptions import RayError

from df2s2_d2 import Predictor
from df2s2_d2.cli.program import main
from df2s2_d2.evaluation.protocol import read_protocol
from df2s2_d2.inference.ray_data import run
from df2s2_d2.inference.ray_data.part_worker import PartSummary, PartWorker
from tests.inference.ray_data.test_find_faces import check_rows


class Cluster:
    """Stands for Ray: does one part after the other in this process.

    Attributes:
        parts: that were begun.
        ends_after: parts, after which something ends the run.
        end: what ends it.
    """

    def __init__(self, finder):
        self.finder = finder
        self.parts: list[int] = []
        self.ends_after = 1000
        self.end: BaseException | None = None

    @contextlib.contextmanager
    def connected(self, address):
        self.address = address
        yield

    def summaries(self, job, pool, num_parts):
        self.job, self.pool = job, pool
        worker = PartWorker(job)
        worker.__dict__["_find_faces"] = self.finder
        for part in range(num_parts):
            if len(self.parts) == self.ends_after:
                raise self.end
            self.parts.append(part)
            batch = worker({"part": np.array([part])})
            yield PartSummary.from_row({name: value[0] for name, value in batch.items()})


@pytest.fixture
def cluster(monkeypatch, shared_finder) -> Cluster:
    cluster = Cluster(shared_finder)
    monkeypatch.setattr(run, "connected", cluster.connected)
    monkeypatch.setattr(run, "machines", lambda: [{"CPU": 1.0}])
    monkeypatch.setattr(run, "_summaries", cluster.summaries)
    return cluster


@pytest.fixture
def detect(checkpoint, pictures, tmp_path, monkeypatch, cluster):
    """Function that runs the command on the pictures, into found/ of the working folder."""
    monkeypatch.chdir(tmp_path)

    def detect(*words: str, inputs: str = str(pictures)) -> int:
        start = ["detect", inputs, "--weights", checkpoint, "--ray", "local"]
        return main([*start, "--output", "found", *words])

    return detect


def test_results_are_those_of_a_predictor(detect, cluster, expected_rows, capsys):
    assert detect("--save", "parquet", "jsonl", "--batch-size", "3") == 1  # for the text
    said = capsys.readouterr()
    table = pq.read_table("found/parquet")
    assert len(table) == 7
    check_rows(table, "file", expected_rows)
    scores = [score for image in table["scores"].to_pylist() for score in image or ()]
    assert f"7 of 7 images: {sum(score > 0.5 for score in scores):,} faces" in said.out
    assert f"{len(scores):,} candidates above 0.01, 1 failures, in " in said.out
    assert said.err.splitlines() == [table["error"].drop_null().to_pylist()[0]]
    assert len(os.listdir("found/jsonl")) == len(cluster.parts)
    assert not os.path.exists("found/trying")
    assert read_protocol("found/parquet").weights == "model.pth"
    assert (cluster.job.device, cluster.job.threads, cluster.job.batch_size) == ("cpu", 1, 3)


@pytest.mark.parametrize("runtime", ["auto", "torch"])
def test_workers_compute_as_one_process_does(detect, cluster, pictures, runtime):
    cluster.ends_after, cluster.end = 0, KeyboardInterrupt()
    words = ("--weights", "faces-small", "--runtime", runtime)
    assert detect(*words, inputs=str(pictures / "0.png")) == 130
    predictor = PartWorker(cluster.job)._find_faces._predict
    assert predictor.runtime == Predictor("faces-small", runtime=runtime).runtime


def test_workers_need_not_have_the_weights(detect, cluster, checkpoint, pictures, tmp_path):
    cluster.ends_after, cluster.end = 0, KeyboardInterrupt()
    copied = shutil.copy(checkpoint, tmp_path / "copied.pth")
    detect("--weights", str(copied), inputs=str(pictures / "0.png"))
    os.remove(copied)
    find_faces = PartWorker(cluster.job)._find_faces
    assert find_faces.in_paths([str(pictures / "0.png")])["error"].null_count == 1


def test_a_run_goes_on_with_what_is_written(detect, cluster, capsys):
    cluster.ends_after, cluster.end = 3, KeyboardInterrupt()
    assert detect() == 130
    assert "Interrupted after 3 of 7 images: " in capsys.readouterr().out
    written = {name: os.stat(f"found/parquet/{name}").st_mtime_ns for name in _parts()}
    assert len(written) == 3
    cluster.ends_after = 1000
    assert detect("--resume") == 1
    assert "7 of 7 images: " in capsys.readouterr().out
    assert len(_parts()) == 7
    for name, time in written.items():
        assert os.stat(f"found/parquet/{name}").st_mtime_ns == time
    assert detect("--resume") == 1  # there is nothing left to do, and the failure is told again
    assert "cannot be read" in capsys.readouterr().err


def _parts() -> list[str]:
    return sorted(os.listdir("found/parquet"))


def test_nothing_to_resume_starts_anew(detect, capsys):
    assert detect("--resume") == 1
    assert "found/run.json does not exist: nothing to resume" in capsys.readouterr().out


def test_photographs_on_web_servers_are_no_streams(detect, monkeypatch):
    inputs = []

    def search(cfg, detector, sources, options, **thresholds) -> int:
        assert options.resume
        inputs.extend(sources)
        return 0

    monkeypatch.setattr(run, "search_on_cluster", search)
    assert detect("--resume", inputs="https://host/a.jpg") == 0
    assert inputs == ["https://host/a.jpg"]


def test_a_run_in_one_process_does_not_go_into_its_folder(detect, checkpoint, pictures, capsys):
    assert detect() == 1
    with open("found/run.json") as file:
        before = file.read()
    command = ["detect", str(pictures), "--weights", checkpoint, "--output", "found"]
    assert main([*command, "--no-pictures"]) == 1
    assert "found holds the results of a run over a cluster: choose" in capsys.readouterr().err
    with open("found/run.json") as file:
        assert file.read() == before


def test_results_without_a_record_are_of_nobody_knows_what(detect, cluster, capsys):
    cluster.ends_after, cluster.end = 3, KeyboardInterrupt()
    assert detect() == 130
    before = _parts()
    os.remove("found/run.json")
    assert detect("--resume", "--write-threshold", "0.5") == 1
    assert "found holds the results of a run, but not its run.json" in capsys.readouterr().err
    assert _parts() == before


def test_parts_keep_their_size_in_a_larger_cluster(detect, cluster, monkeypatch):
    cluster.ends_after, cluster.end = 0, KeyboardInterrupt()
    monkeypatch.setattr("df2s2_d2.inference.ray_data.cluster_record._PARTS_PER_WORKER", 3)
    assert detect() == 130
    assert cluster.job.part_size == 2
    assert detect("--resume", "--ray-workers", "9") == 130
    assert (cluster.job.part_size, cluster.pool.wanted) == (2, 9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "found holds the results of a run: go on with it by --resume"),
        (("--resume", "--write-threshold", "0.2"), "--write-threshold was 0.01, is 0.2"),
        (("--resume", "--save", "jsonl"), "--save was .*, is "),
        (("--resume", "--precision", "bf16"), "--precision was fp32, is bf16"),
    ],
)
def test_other_runs_into_the_folder_are_refused(detect, cluster, capsys, words, message):
    cluster.ends_after, cluster.end = 1, KeyboardInterrupt()
    assert detect() == 130
    before = _parts()
    assert detect(*words) == 1
    assert _parts() == before
    assert re.search(message, capsys.readouterr().err)


def test_other_inputs_are_refused(detect, cluster, pictures, capsys):
    cluster.ends_after, cluster.end = 1, KeyboardInterrupt()
    assert detect() == 130
    assert detect("--resume", inputs=str(pictures / "0.png")) == 1
    assert "number of inputs was 7, is 1; list of inputs changed" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["text", "[]", '{"version": 1, "settings": {}}'])
def test_a_record_of_another_kind_is_refused(detect, capsys, content):
    os.mkdir("found")
    with open("found/run.json", "w") as file:
        file.write(content)
    assert detect("--resume") == 1
    assert "found/run.json is no record of a run over a cluster" in capsys.readouterr().err


def test_results_that_cannot_be_written_end_the_run(detect, cluster, monkeypatch, capsys):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(PartWorker, "look_at", fail)
    assert detect() == 1
    assert (
        "The workers cannot go on (No space left on device): run again with --resume once they can"
        in capsys.readouterr().err
    )


def test_a_cluster_that_fails_is_one_sentence(detect, cluster, capsys):
    cluster.ends_after, cluster.end = 1, RayError("Traceback ...\nNo module named 'df2s2_d2'")
    assert detect() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "The Ray cluster failed (No module named 'df2s2_d2'): see that every machine" in line


def test_failures_that_are_told_are_bounded(detect, pictures, monkeypatch, capsys):
    monkeypatch.setattr("df2s2_d2.inference.ray_data.progress._MOST_TOLD", 2)
    for number in range(5):
        with open(f"{number}.jpg", "w") as file:
            file.write("text")
    assert detect(inputs=".") == 1
    *told, more = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert more == "... and 3 more: the results have the error of every image"


def test_a_list_in_parquet_and_addresses_are_looked_at(detect, pictures, expected_rows, tmp_path):
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/test_run/1.png", (pictures / "1.png").read_bytes())
    names = [str(pictures / "0.png"), "memory://test_run/1.png"]
    pq.write_table(pa.table({"path": names}), "list.parquet")
    assert detect("--output", "memory://test_run/found", inputs="list.parquet") == 0
    assert json.loads(fs.cat("/test_run/found/run.json"))["settings"]["number of inputs"] == 2
    assert "resize" in json.loads(fs.cat("/test_run/found/protocol.json"))
    with fs.open("/test_run/found/parquet/part-000001.parquet") as file:
        table = pq.read_table(file)
    assert table["file"].to_pylist() == names[1:]
    check_rows(table, "file", expected_rows)
    fs.rm("/test_run", recursive=True)
