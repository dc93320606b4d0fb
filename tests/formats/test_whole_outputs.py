from __future__ import annotations

import os

import pytest

from df2s2_d2.formats.whole_outputs import replacing, require_free, write_whole


def test_a_file_appears_once_it_is_whole(tmp_path):
    path = tmp_path / "below/a.txt"
    with replacing(path) as place:
        place.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, is_folder):
    path = tmp_path / "out"
    path.mkdir()
    (path / "out").touch()
    with pytest.raises(ValueError), replacing(path) as place:
        assert not place.exists()
        if is_folder:
            place.mkdir()
            (place / "half").touch()
        else:
            place.touch()
        raise ValueError
    assert os.listdir(tmp_path) == ["out"] and os.listdir(path) == ["out"]


def test_a_folder_replaces_all_of_another(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    with replacing(path) as place:
        place.mkdir()
        (place / "new").touch()
    assert os.listdir(tmp_path) == ["out"] and os.listdir(path) == ["new"]


def test_a_file_does_not_replace_a_folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(IsADirectoryError), replacing(path) as place:
        place.touch()
    assert os.listdir(tmp_path) == ["out"] and os.listdir(path) == ["old"]


def test_what_exists_is_replaced_only_if_that_is_wanted(tmp_path):
    require_free(tmp_path / "absent", overwrite=False)
    (tmp_path / "empty").mkdir()
    require_free(tmp_path / "empty", overwrite=False)
    (tmp_path / "a.txt").touch()
    for path in (tmp_path / "a.txt", tmp_path):
        require_free(path, overwrite=True)
        with pytest.raises(FileExistsError, match=f"^{path} exists: .* --overwrite"):
            require_free(path, overwrite=False)


def test_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def record(*args, name=name, original=original):
            calls.append(name)
            return original(*args)

        monkeypatch.setattr(os, name, record)
    write_whole(tmp_path / "a.bin", b"content")
    assert calls == ["fsync", "replace", "fsync"]  # of the file, and of the folder


def test_names_may_be_as_long_as_the_system_takes_them(tmp_path):
    name = "a" * 251 + ".txt"
    write_whole(tmp_path / name, b"content")
    with replacing(tmp_path / ("b" * 255)) as place:
        place.touch()
    assert sorted(map(len, os.listdir(tmp_path))) == [255, 255]
    assert (tmp_path / name).read_bytes() == b"content"


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    replace = os.replace

    def meanwhile(*args):
        monkeypatch.setattr(os, "replace", replace)
        write_whole(path, b"second")
        assert path.read_bytes() == b"second"
        replace(*args)

    monkeypatch.setattr(os, "replace", meanwhile)
    write_whole(path, b"first")
    assert path.read_bytes() == b"first"
    with replacing(path) as one, replacing(path) as other:
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert path.read_bytes() == b"one" and os.listdir(tmp_path) == ["a.txt"]


def test_an_interruption_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    (tmp_path / "a.txt").write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a.txt", b"content")
    assert os.listdir(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_bytes() == b"before"
