"""Runs that were ended at any moment go on, and shards are joined: nothing is twice or lost."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from df2s2_d2.formats.whole_outputs import PARTIAL
from df2s2_d2.inference.media import run_record
from df2s2_d2.inference.media.face_finding import FaceFinding
from df2s2_d2.inference.media.pictures import Pictures
from df2s2_d2.inference.media.result_files import ResultFiles
from df2s2_d2.inference.media.result_formats import RESULT_FORMATS
from df2s2_d2.inference.media.run_record import RunRecord
from df2s2_d2.inference.media.shard_joining import join_shards
from df2s2_d2.inference.media.shards import Shard
from df2s2_d2.inference.media.sources import find_sources
from tests.inference.media.runs import consume
from tests.inference.media.scenes import find_white, moving_face, write_video

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {"--save": list(RESULT_FORMATS), "weights": "sha256:1"}


def run(
    inputs: Path | list[Path],
    output: Path,
    *,
    resume: bool = False,
    shard: Shard = Shard(),  # noqa: B008
    predict=find_white,
    settings=SETTINGS,
    has_tracks: bool = False,
    hide: str | None = None,
) -> FaceFinding:
    """A run as the command makes it, in all formats."""
    inputs = inputs if isinstance(inputs, list) else [inputs]
    sources = find_sources(map(str, inputs))
    record = RunRecord(shard.of(sources), output / f"run{shard.suffix}.json", settings)
    if resume:
        record.load()
    else:
        record.remove()
    state = record.checkpoint and record.checkpoint["results"]
    results = ResultFiles(
        output,
        settings["--save"],
        0.01,
        sources=sources,
        shard=shard,
        state=state,
        has_tracks=has_tracks,
    )
    pictures = Pictures(output, hide=hide)
    finding = FaceFinding(predict, results, pictures, record=record, follow=consume, batch_size=1)
    with results, record.saved(results.sync):
        finding.run()
    return finding


def content(folder: Path) -> dict[str, bytes]:
    """All that a run wrote but its record, and the hidden rest of a file that a kill leaves."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("run.") and path.suffix != PARTIAL
    }


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


def test_shards_that_do_not_say_what_they_wrote_are_told(tmp_path):
    for number in (1, 2):
        record = RunRecord([], tmp_path / f"run.{number}-of-2.json")
        record.is_complete = True
        record.save(lambda: None)
    with pytest.raises(ValueError, match="do not say which files they wrote, by --save"):
        join_shards(tmp_path)


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


def test_joined_shards_are_the_results_of_one_run(photos, clip, tmp_path):
    (photos / "a/x").mkdir()
    shutil.copytree(photos / "a", photos / "c/a")  # names for which one run has numbers
    run([photos, clip], tmp_path / "one")
    shards = [Shard(number, 3) for number in (2, 3, 1)]
    for shard in shards:
        run([photos, clip], tmp_path / "all", shard=shard)
    joined = join_shards(tmp_path / "all")
    assert (joined.num_shards, joined.num_inputs, joined.failures) == (3, 11, [])
    assert len(joined.files) == 5
    one, found = content(tmp_path / "one"), content(tmp_path / "all")
    assert found.keys() - one.keys() == {
        f"{path.stem}{shard.suffix}{path.suffix}" for path in joined.files for shard in shards
    }
    listed = {path.name for path in joined.files}
    assert {name for name in one if found[name] != one[name]} <= listed
    for name in ("detections.jsonl", "detections.csv"):
        assert sorted(found[name].splitlines()) == sorted(one[name].splitlines())
        assert found[name].splitlines()[0] == one[name].splitlines()[0]

    def read(folder: str, name: str):
        return json.loads((tmp_path / folder / name).read_text())

    records = read("all", "detections.json")
    assert sorted(map(str, records)) == sorted(map(str, read("one", "detections.json")))
    faces = []
    for folder in ("one", "all"):
        images = {
            image["id"]: (image["file_name"], image.get("frame"))
            for image in read(folder, "coco_images.json")["images"]
        }
        assert len(images) == 10 + 11
        faces.append(
            sorted(
                (images[face["image_id"]][0], images[face["image_id"]][1] or 0, face["bbox"])
                for face in read(folder, "coco.json")
            )
        )
    assert faces[0] == faces[1] and len(faces[0]) == 2 * (9 + 11)


@pytest.mark.parametrize(
    ("file", "kept"),
    [
        ("detections.1-of-2.json", 0),
        ("detections.2-of-2.json", -3),
        ("coco_images.2-of-2.json", -1),
        ("detections.2-of-2.csv", 0),
    ],
)
def test_results_of_a_shard_that_are_cut_short_are_not_joined(photos, tmp_path, file, kept):
    for shard in (Shard(1, 2), Shard(2, 2)):
        run(photos, tmp_path, shard=shard)
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[:kept].rstrip(b"]}\n"))
    with pytest.raises(ValueError, match=f"{file} is not what a shard wrote to its end"):
        join_shards(tmp_path)
    assert not (tmp_path / re.sub(r"\..-of-2", "", file)).exists()


def test_a_record_of_a_shard_that_cannot_be_is_passed_over(photos, tmp_path):
    for shard in (Shard(1, 2), Shard(2, 2)):
        run(photos, tmp_path, shard=shard)
    shutil.copy(tmp_path / "run.1-of-2.json", tmp_path / "run.9-of-2.json")
    assert join_shards(tmp_path).num_shards == 2


def test_shards_that_do_not_belong_together_are_told(photos, tmp_path):
    def check(message: str) -> None:
        with pytest.raises(ValueError, match=message):
            join_shards(tmp_path)

    check("holds no runs of shards")
    run(photos, tmp_path, shard=Shard(1, 3))
    check("Of the 3 shards .* 2 have not begun: run --shard 2/3, 3/3 with --resume")
    run(photos, tmp_path, shard=Shard(2, 3))

    def interrupt(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(photos, tmp_path, shard=Shard(3, 3), predict=interrupt)
    check("1 did not come to their end: run --shard 3/3 with --resume")
    run(photos, tmp_path, shard=Shard(3, 3), settings={**SETTINGS, "--blur": "fill"})
    check(r"shards 1/3 and 3/3 .* are not of one run \(--blur was None, is fill\)")
    run(photos, tmp_path, shard=Shard(1, 2))
    check("holds shards of 2 and of 3 parts")


# A process that is killed

PROGRAM = """
import sys, time
from pathlib import Path
from df2s2_d2.inference.media import run_record
from tests.inference.media.scenes import find_white
from tests.inference.media.test_resuming import run

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
