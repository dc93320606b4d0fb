from __future__ import annotations

import os

from df2s2_d2.data.datasets.image_files import missing_files


def test_missing_files_are_told_in_order_from_listings_alone(tmp_path, monkeypatch):
    (tmp_path / "e").mkdir()
    for name in ("e/a.jpg", "top.jpg"):
        (tmp_path / name).touch(mode=0o000)  # whoever opens one fails
    paths = ["top.jpg", "e/b.jpg", "e/a.jpg", "absent/a.jpg", "top.jpg/a.jpg", "e/A.jpg"]
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or scandir(folder))
    missing = missing_files([str(tmp_path / path) for path in paths] * 50)
    expected = [str(tmp_path / path) for path in ("e/b.jpg", "absent/a.jpg", "top.jpg/a.jpg")]
    assert missing[:4] == [*expected, str(tmp_path / "e/A.jpg")]
    assert len(missing) == 200
    assert len(listed) == 4


def test_relative_paths_and_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").touch()
    assert missing_files(["a.jpg", "./a.jpg", "s3://bucket/a.jpg", "b.jpg"]) == ["b.jpg"]


def test_links_that_lead_nowhere_are_missing(tmp_path):
    (tmp_path / "a.jpg").touch()
    for name, target in (("b.jpg", "a.jpg"), ("c.jpg", "gone.jpg"), ("d.jpg", "c.jpg")):
        (tmp_path / name).symlink_to(target)
    missing = missing_files([str(tmp_path / f"{name}.jpg") for name in "abcd"])
    assert missing == [str(tmp_path / "c.jpg"), str(tmp_path / "d.jpg")]
