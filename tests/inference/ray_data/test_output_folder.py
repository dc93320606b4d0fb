"""Folders of results, here and elsewhere."""

from __future__ import annotations

import os

import fsspec
import pytest

from df2s2_d2.inference.ray_data.output_folder import OutputFolder


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        yield OutputFolder(str(tmp_path / "found"))
        return
    yield OutputFolder("memory://test_output_folder/found")
    fsspec.filesystem("memory").rm("/test_output_folder", recursive=True)


def test_files_are_written_read_and_removed(folder):
    assert folder.read("a/b.txt") is None
    folder.write("a/b.txt", b"one")
    folder.write("a/b.txt", b"two")
    assert folder.read("a/b.txt") == b"two"
    assert folder.holds("a") and not folder.holds("b")
    with folder.open("c.txt") as file:
        file.write(b"three")
    with folder.open("c.txt", "rb") as file:
        assert file.read() == b"three"
    folder.remove("a")
    folder.remove("a")
    assert not folder.holds("a")


def test_a_folder_stays_where_it_is_when_the_working_folder_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = OutputFolder("found")
    folder.write("a.txt", b"here")
    monkeypatch.chdir("/")
    assert folder.read("a.txt") == b"here"
    assert str(folder) == "found"


def test_files_appear_whole(tmp_path, monkeypatch):
    folder = OutputFolder(str(tmp_path))
    folder.write("a.txt", b"old")

    def fail(*_):
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no room"):
        folder.write("a.txt", b"new")
    assert folder.read("a.txt") == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]
