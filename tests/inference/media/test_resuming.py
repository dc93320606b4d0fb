"""Runs that were ended at any moment go on: nothing is twice or lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from df2s2_d2.inference.media import run_record
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.inference.media.result_formats import RESULT_FORMATS
from df2s2_d2.inference.media.run_record import RunRecord
from tests.inference.media.resumable_runs import SETTINGS, content, run
from tests.inference.media.scenes import find_white, moving_face, write_video

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def saved_at_once(monkeypatch):
    """Records are written after every input."""
    monkeypatch.setattr(run_record, "SAVING_INTERVAL", 0.0)


@pytest.mark.parametrize(("interval", "num_moments"), [(0.0, 8), (1e9, 2)])
def test_runs_go_on_from_any_moment(photos, clip, tmp_path, monkeypatch, interval, num_moments):
    """What lies in the folder is copied after a file was written, as a kill would leave it."""
    inputs, output = [photos, clip], tmp_path / "out"
    chosen = random.Random(interval).sample(range(140), num_moments)
    moments: list[Path] = []
    number = 0
    # Pictures are written by several threads: a moment is between two writes, not within one.
    one_at_a_time = threading.RLock()

    with monkeypatch.context() as patch:
        patch.setattr(run_record, "SAVING_INTERVAL", interval)
        steps = [
            *((writer, "add") for writer in RESULT_FORMATS.values()),
            (RunRecord, "save"),
            (Pictures, "write_image"),
        ]
        for owner, name, original in [(*step, getattr(*step)) for step in steps]:

            def wrapped(self, *args, original=original, **options):
                nonlocal number
                with one_at_a_time:
                    result = original(self, *args, **options)
                    if number in chosen:
                        moments.append(tmp_path / f"moment_{number}")
                        shutil.copytree(output, moments[-1])
                    number += 1
                return result

            patch.setattr(owner, name, wrapped)
        run(inputs, output)
    whole = content(output)
    assert number > 140 and len(moments) == num_moments and len(whole) > 60
    for moment in moments:
        finding = run(inputs, moment, resume=True)
        assert (finding.num_images, finding.num_frames, finding.num_shown) == (7, 11, 17)
        found = content(moment)
        assert found.keys() == whole.keys()
        assert [name for name in whole if found[name] != whole[name]] == []


def test_half_written_files_are_mended(photos, tmp_path, saved_at_once):
    whole = tmp_path / "whole"
    run(photos, whole)
    killed = tmp_path / "killed"

    def fail(images):
        if (killed / "a/2.png").exists():
            raise KeyboardInterrupt
        return find_white(images)

    with pytest.raises(KeyboardInterrupt):
        run(photos, killed, predict=fail)
    for name in ("detections.json", "detections.jsonl", "detections.csv", "coco.json"):
        with (killed / name).open("ab") as file:
            file.write(b'{"file": "photos/b/')
    (killed / "b").mkdir(exist_ok=True)
    (killed / "b/5.png").write_bytes(b"half a picture")
    run(photos, killed, resume=True)
    assert content(killed) == content(whole)


def test_only_what_remains_is_looked_at(photos, tmp_path, saved_at_once):
    output, seen = tmp_path / "out", []

    def predict(images):
        seen.append(len(images))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return find_white(images)

    with pytest.raises(KeyboardInterrupt):
        run(photos, output, predict=predict)
    done = json.loads((output / "run.json").read_text())["done"]
    run(photos, output, resume=True, predict=predict)
    # Of the four images of the first batch, the picture of the last was not waited for.
    assert done == [[0, 2]] and seen[2:] == [4]
    run(photos, output, resume=True, predict=predict)  # which is complete
    assert seen[2:] == [4]


def test_failures_are_tried_again_and_told_again(photos, clip, tmp_path, saved_at_once):
    output = tmp_path / "out"
    picture = (photos / "a/1.png").read_bytes()
    (photos / "a/1.png").write_bytes(b"")
    (output / "b/6.png").mkdir(parents=True)  # where the picture cannot be written
    failures = run(photos, output).failures
    assert len(failures) == 2
    assert run(photos, output, resume=True).failures == failures
    (photos / "a/1.png").write_bytes(picture)
    assert run(photos, output, resume=True).failures == failures[1:]
    lines = (output / "detections.jsonl").read_text().splitlines()
    names = [Path(json.loads(line)["file"]).name for line in lines]
    assert names == [f"{number}.png" for number in (0, 2, 3, 4, 5, 6, 1)]


def test_video_that_fails_half_way_is_not_in_the_results_twice(clip, tmp_path, monkeypatch):
    def fail(self, frame, faces, hidden):
        if frame.index == 5:
            raise ValueError("no more")

    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "make", fail)
        patch.setattr(Pictures, "recorder", lambda *_: None)
        (failure,) = run(clip, output).failures
    before = (output / "detections.jsonl").read_bytes()
    assert before.count(b"\n") >= 5
    assert run(clip, output, resume=True).failures == [failure]
    assert (output / "detections.jsonl").read_bytes() == before


def test_a_video_that_begins_anew_is_tracked_and_hidden_as_before(tmp_path, saved_at_once):
    (tmp_path / "in").mkdir()
    for number in range(3):
        write_video(tmp_path / f"in/{number}.avi", moving_face(9 + number), codec="MJPG")
    options = {"has_tracks": True, "hide": "fill"}
    whole, output, seen = tmp_path / "whole", tmp_path / "out", []
    run(tmp_path / "in", whole, **options)

    def fail(images):
        seen.extend(images)
        if len(seen) > 15:  # in the second video
            raise KeyboardInterrupt
        return find_white(images)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in", output, predict=fail, **options)
    assert not (output / "2.mp4").exists()
    run(tmp_path / "in", output, resume=True, **options)
    assert content(output) == content(whole)
    lines = [json.loads(line) for line in (output / "detections.jsonl").open()]
    assert len(lines) == 30 and {line["faces"][0]["track"] for line in lines} == {1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**SETTINGS, "--save": ["csv"]}, r"--save was \['json', .*\], is \['csv'\]"),
        ({**SETTINGS, "weights": "sha256:2"}, r"\(weights changed\)"),
        ({**SETTINGS, "--blur": "fill"}, "--blur was None, is fill"),
    ],
)
def test_other_settings_are_refused(photos, tmp_path, settings, message):
    output = tmp_path / "out"
    run(photos, output)
    before = content(output)
    with pytest.raises(ValueError, match=f"run.json is of a run with other settings .*{message}"):
        run(photos, output, resume=True, settings=settings)
    assert content(output) == before


@pytest.mark.parametrize("name", ["detections.json", "detections.csv", "coco_images.json"])
def test_results_that_were_changed_are_told(photos, tmp_path, name):
    output = tmp_path / "out"
    run(photos, output)
    (output / name).write_bytes(b"[]")
    with pytest.raises(ValueError, match=f"{name} has 2 bytes, less than .* without --resume"):
        run(photos, output, resume=True)
    (output / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        run(photos, output, resume=True)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 0}', '{"version": 1}'])
def test_damaged_records_are_told(photos, tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match="run.json is no record of a run .* without --resume"):
        run(photos, tmp_path, resume=True)


def test_results_are_on_the_disk_before_they_count_as_done(photos, tmp_path, monkeypatch):
    calls = []
    for owner, name in ((ResultFiles, "sync"), (run_record, "write_whole")):
        original = getattr(owner, name)

        def wrapped(*args, original=original, name=name, **options):
            calls.append(name)
            return original(*args, **options)

        monkeypatch.setattr(owner, name, wrapped)
    run(photos, tmp_path / "out")
    assert calls == ["sync", "write_whole"] * 2  # at the start and at the end


# Shards


# A process that is killed

PROGRAM = """
import sys, time
from pathlib import Path
from df2s2_d2.inference.media import run_record
from tests.inference.media.scenes import find_white
from tests.inference.media.resumable_runs import run

run_record.SAVING_INTERVAL = 0.02

def slowly(images):
    time.sleep(0.01)
    return find_white(images)

run([Path(sys.argv[1]), Path(sys.argv[2])], Path(sys.argv[3]), predict=slowly)
"""


def test_killed_process_loses_nothing(photos, clip, tmp_path):
    for number in range(20):
        shutil.copy(photos / f"a/{number % 3}.png", photos / f"b/more_{number:02d}.png")
    output = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, photos, clip, output],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    results = output / "detections.jsonl"
    while process.poll() is None and not (results.exists() and results.stat().st_size):
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.4))
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (0, -signal.SIGKILL)
    run([photos, clip], output, resume=True)
    run([photos, clip], tmp_path / "whole")
    found, whole = content(output), content(tmp_path / "whole")
    assert found.keys() == whole.keys()
    assert [name for name in whole if found[name] != whole[name]] == []
