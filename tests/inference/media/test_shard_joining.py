"""Shards are joined to what one run would have written, or it is told why not."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from df2s2_d2.inference.media.run_record import RunRecord
from df2s2_d2.inference.media.shard_joining import join_shards
from df2s2_d2.inference.media.shards import Shard
from tests.inference.media.resumable_runs import SETTINGS, content, run


def test_shards_that_do_not_say_what_they_wrote_are_told(tmp_path):
    for number in (1, 2):
        record = RunRecord([], tmp_path / f"run.{number}-of-2.json")
        record.is_complete = True
        record.save(lambda: None)
    with pytest.raises(ValueError, match="do not say which files they wrote, by --save"):
        join_shards(tmp_path)


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
