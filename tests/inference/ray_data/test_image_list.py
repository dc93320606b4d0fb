"""What a run over a cluster looks at: folders, patterns, addresses and lists in Parquet."""

from __future__ import annotations

import os
import sys

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from df2s2_d2.inference.ray_data import image_list
from df2s2_d2.inference.ray_data.image_list import (
    ImageList,
    find_images,
    listed_images,
    write_list,
)
from df2s2_d2.inference.ray_data.output_folder import OutputFolder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with files of which four are images that count."""
    monkeypatch.chdir(tmp_path)
    for name in (
        *("photos/b.JPG", "photos/a.png", "photos/sub/c.webp", "photos/sub/deep/d.jpg"),
        *("photos/.hidden.jpg", "photos/.hidden/e.jpg", "photos/notes.txt", "photos/clip.mp4"),
        "photos/found/parquet/f.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def listed(*inputs: str, output: str = "photos/found") -> list[str]:
    failures: list[str] = []
    found = list(find_images(inputs, OutputFolder(output), failures.append))
    assert failures == []
    return found


IN_PHOTOS = ["photos/a.png", "photos/b.JPG", "photos/sub/c.webp", "photos/sub/deep/d.jpg"]


def test_folders_hold_images_at_any_depth_but_hidden_ones_and_results(folder):
    assert listed("photos") == listed("photos/") == IN_PHOTOS
    absolute = str(folder / "photos")
    assert listed(absolute) == [str(folder / name) for name in IN_PHOTOS]
    assert "photos/found/parquet/f.jpg" in listed("photos", output="elsewhere")


def test_files_and_patterns_are_taken_as_they_are_given(folder):
    assert listed("photos/notes.txt") == ["photos/notes.txt"]  # named, so tried
    assert listed("photos/*.*") == ["photos/a.png", "photos/b.JPG"]
    assert listed("photos/*") == ["photos/a.png", "photos/b.JPG", *IN_PHOTOS[2:]]
    assert listed("photos/s*") == ["photos/sub/c.webp", "photos/sub/deep/d.jpg"]
    assert listed("photos/**/*.jpg", output="elsewhere")[-1] == "photos/sub/deep/d.jpg"
    assert listed("photos/a.png", "photos/a.png") == ["photos/a.png"]


def test_addresses_are_those_of_any_file_system():
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/bucket/{name}": b"" for name in ("x.jpg", "y/z.png", "found/q.jpg")})
    output = "memory://bucket/found"
    names = ["memory://bucket/x.jpg", "memory://bucket/y/z.png"]
    assert listed("memory://bucket", output=output) == names
    assert listed("memory://bucket/*/z.png", output=output) == names[1:]
    fs.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["absent"], "The input absent does not exist"),
        (["photos/x*"], r"The input photos/x\* holds no image"),
        (["photos/sub", "photos"], "The input photos/sub lies in photos, which is given too"),
        (["memory://nothing/here"], "The input memory://nothing/here does not exist"),
        (["photos/clip.mp4"], "The input photos/clip.mp4 is a video, and workers look at photo"),
        (["rtsp://anna:b@host/1"], "The input rtsp://host/1 is in no file system that fsspec know"),
    ],
)
def test_inputs_without_images_and_twice_the_same_are_refused(folder, inputs, message):
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        listed(*inputs)


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are UTF-8")
def test_a_name_that_parquet_cannot_hold_is_told_and_passed_over(folder):
    (folder / os.fsdecode(b"photos/\xff.jpg")).touch()
    failures: list[str] = []
    assert list(find_images(["photos"], OutputFolder("photos/found"), failures.append)) == IN_PHOTOS
    (failure,) = failures
    assert failure.startswith("The name photos/\ufffd.jpg is not UTF-8")


@pytest.mark.parametrize("column", ["path", "file"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_lists_have_a_column_of_paths(folder, column, kind):
    names = ["s3://bucket/a.jpg", "photos/b.jpg"]
    table = pa.table({"more": [1, 2], column: pa.array(names, kind)})
    pq.write_table(table, "list.parquet", row_group_size=1)
    assert listed("list.parquet") == names
    assert listed("l*.parquet") == names


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda: pq.write_table(pa.table({"url": ["a"]}), "list.parquet"),
            "list.parquet: expected a column path or file .*, found .*url: string",
        ),
        (
            lambda: pq.write_table(pa.table({"path": [1]}), "list.parquet"),
            "list.parquet: expected a column path or file .*, found .*path: int64",
        ),
        (
            lambda: pq.write_table(pa.table({"path": ["a", "b", None]}), "list.parquet"),
            "list.parquet, row 2: expected a path or an address in the column path",
        ),
        (
            lambda: open("list.parquet", "w").write("text"),
            "list.parquet is no Parquet file",
        ),
    ],
)
def test_other_tables_are_refused_with_their_columns(folder, write, message):
    write()
    with pytest.raises(ValueError, match=message):
        listed("list.parquet")


def test_the_list_is_written_once_and_read_by_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(image_list, "GROUP", 4)
    output = OutputFolder(str(tmp_path / "found"))
    names = [f"{number}.jpg" for number in range(11)]
    images = write_list(iter(names), output)
    assert images == listed_images(names)
    assert images.count == 11
    parts = [ImageList(output, 2).part(number) for number in range(6)]
    assert parts == [names[start : start + 2] for start in range(0, 11, 2)]


def test_the_digest_tells_lists_apart():
    digests = {
        listed_images(names).digest for names in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["abc"])
    }
    assert len(digests) == 4


def test_no_more_than_a_group_of_the_list_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(image_list, "GROUP", 10)
    written = []
    monkeypatch.setattr(
        image_list.pq.ParquetWriter,
        "write_table",
        lambda writer, table, row_group_size: written.append(len(table)),
    )
    taken = []

    def names():
        for number in range(1000):
            assert number - sum(written) <= 10
            taken.append(number)
            yield f"{number}.jpg"

    write_list(names(), OutputFolder(str(tmp_path)))
    assert len(taken) == sum(written) == 1000
