from __future__ import annotations

import os
import tracemalloc
import zipfile

import pytest

from df2s2_d2.evaluation.fddb import read_detections as read_fddb_detections
from df2s2_d2.formats.detection_files import read_detections

TEXT = "i\n1\n1 2 3 4 0.5\n"


def archive_of(path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("e/a.txt", TEXT)
        archive.writestr(name, content)


@pytest.mark.parametrize(
    ("read", "name"), [(read_detections, "e/z.txt"), (read_fddb_detections, "fold-01-out.txt")]
)
def test_zeros_are_refused_before_they_are_unpacked(tmp_path, read, name):
    archive_of(tmp_path / "bomb.zip", name, bytes(40 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"bomb\.zip: {name} has 41,943,040 bytes, packed to 40,"):
        read(tmp_path / "bomb.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_files_that_are_not_read_may_have_any_size(tmp_path):
    archive_of(tmp_path / "d.zip", "notes.bin", bytes(40 << 20))
    assert list(read_detections(tmp_path / "d.zip")) == ["e/a"]


def test_sizes_are_bounded_one_by_one_and_together(tmp_path, monkeypatch):
    module = "df2s2_d2.formats.folder_or_zip"
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for k in range(4):
            archive.writestr(f"e/{k}.txt", TEXT)
    assert len(read_detections(tmp_path / "d.zip")) == 4
    for limit, value, words in (
        ("_LARGEST_FILE", len(TEXT) - 1, r"d\.zip: e/0\.txt has 16 bytes"),
        ("_LARGEST_ARCHIVE", 4 * len(TEXT) - 1, r"d\.zip, unpacked, has 64 bytes"),
        ("_MOST_MEMBERS", 3, r"d\.zip holds more than 3 files"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"{module}.{limit}", value)
            with pytest.raises(ValueError, match=words):
                read_detections(tmp_path / "d.zip")


def test_an_archive_that_understates_a_size_is_damaged(tmp_path):
    archive_of(tmp_path / "d.zip", "e/z.txt", TEXT.encode() + b"\n" * 5000)
    data = (tmp_path / "d.zip").read_bytes()
    size = (len(TEXT) + 5000).to_bytes(4, "little")
    assert data.count(size) == 2
    (tmp_path / "d.zip").write_bytes(data.replace(size, (len(TEXT)).to_bytes(4, "little")))
    with pytest.raises(ValueError, match=r"d\.zip is damaged"):
        read_detections(tmp_path / "d.zip")


def test_two_files_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("e/a.txt", TEXT)
        archive.writestr("e/b.txt", TEXT)
    data = (tmp_path / "d.zip").read_bytes()
    (tmp_path / "d.zip").write_bytes(data.replace(b"e/b.txt", b"e/a.txt"))
    with pytest.raises(ValueError, match=r"d\.zip holds two files e/a\.txt"):
        read_detections(tmp_path / "d.zip")


def test_names_may_have_the_slashes_of_windows(tmp_path):
    archive_of(tmp_path / "d.zip", "e/b.txt", TEXT.encode())
    data = (tmp_path / "d.zip").read_bytes()
    (tmp_path / "d.zip").write_bytes(data.replace(b"e/b.txt", b"e\\b.txt"))
    assert list(read_detections(tmp_path / "d.zip")) == ["e/a", "e/b"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such pipes")
def test_pipes_are_not_waited_for(tmp_path):
    (tmp_path / "found/e").mkdir(parents=True)
    os.mkfifo(tmp_path / "found/e/i.txt")
    with pytest.raises(ValueError, match=r"e/i\.txt is no plain file"):
        read_detections(tmp_path / "found")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is neither a folder"):
        read_fddb_detections(tmp_path / "pipe")
