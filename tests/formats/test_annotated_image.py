from __future__ import annotations

import os

import pytest

from df2s2_d2.formats.annotated_image import event_of, image_name, leaves_folder


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("e/a.jpg", "e/a"),
        ("./e/a.png", "e/a"),
        ("e\\a.b.jpg", "e/a.b"),
        ("e/../f/a", "f/a"),
        ("/data/images/e/a.jpg", "e/a"),
        ("../images/e/a.jpg", "e/a"),
        ("/data/b.jpg", "../b"),
    ],
)
def test_an_image_has_one_name_however_its_path_is_written(path, name):
    assert image_name(path, "/data/images") == name


@pytest.mark.parametrize(
    ("name", "event"),
    [("0--Parade/a", "0--Parade"), ("p/q/a", "p"), ("a", "(no folder)"), ("", "(no folder)")],
)
def test_the_event_of_an_image_is_its_first_folder(name, event):
    assert event_of(name) == event


def test_without_a_folder_paths_are_relative_to_the_current_one():
    assert image_name(os.path.join(os.getcwd(), "e/a.jpg")) == "e/a"


@pytest.mark.parametrize(
    ("path", "image_dir", "leaves"),
    [
        ("e/a.jpg", "/data/images", False),
        ("e/../a.jpg", "/data/images", False),
        ("../images/e/a.jpg", "/data/images", False),
        ("/data/images/e/a.jpg", "/data/images", False),
        ("..a/b..jpg", "/data/images", False),
        ("../../../etc/passwd.jpg", "/data/images", True),
        ("e\\..\\..\\a.jpg", "/data/images", True),
        ("/etc/passwd.jpg", "/data/images", True),
        ("/data/images2/a.jpg", "/data/images", True),
        ("../a.jpg", "images", True),
        ("../a.jpg", "s3://bucket/images", True),
        ("e/../a.jpg", "s3://bucket/images", False),
        ("../a.jpg", "", False),
        ("/anywhere/a.jpg", "/", False),
        ("C:\\photos\\a.jpg", "/data/images", True),
        ("d:/photos/a.jpg", "s3://bucket/images", True),
        ("C:\\photos\\a.jpg", "", False),
        ("12:30/a.jpg", "/data/images", False),
    ],
)
def test_paths_leave_the_folder_by_what_they_say(path, image_dir, leaves):
    assert leaves_folder(path, image_dir) == leaves
