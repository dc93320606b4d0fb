"""Files that are whole or as they were before."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from df2s2_d2.training.durable_files import SavingError, remove_partial_files, write_durably


def test_files_are_written_and_replaced(tmp_path):
    path = tmp_path / "a.bin"
    for content in (b"first", b"second"):
        write_durably(str(path), content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EROFS, "make its folder writable"),
        (errno.EACCES, "make its folder writable"),
    ],
)
def test_what_cannot_be_written_is_one_sentence_and_changes_nothing(
    tmp_path, monkeypatch, code, remedy
):
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")

    def refuse(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(SavingError) as caught:
        write_durably(str(path), bytes(12345))
    message = str(caught.value)
    assert message.startswith(f"{path} (12,345 bytes) cannot be written ({os.strerror(code)})")
    assert remedy in message and "--resume" in message and "\n" not in message
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["a.bin"]


def test_a_file_that_the_system_cuts_short_keeps_its_name_free(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(SavingError, match=r"a.bin \(5,000 bytes\) cannot .*: make room"):
            write_durably(str(tmp_path / "a.bin"), bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    for name in (".1-a.partial", ".2-b.partial", "model_final.pth"):
        (tmp_path / name).touch()
    remove_partial_files(str(tmp_path))
    assert os.listdir(tmp_path) == ["model_final.pth"]
