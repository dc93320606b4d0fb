from __future__ import annotations

import zipfile

import numpy as np
import pytest

from df2s2_d2.evaluation import read_detections
from df2s2_d2.evaluation.wider_face.submission import (
    check_submission,
    read_image_names,
    write_submission,
)

IMAGES = ["0--Parade/a.b_1", "1--Handshaking/c_2", "1--Handshaking/d_3"]
FOUND = {
    "1--Handshaking/c_2": np.array([[1, 2, 3, 4, 0.25], [5.5, 6, 7, 8, 0.75]]),
    "0--Parade/a.b_1": np.array([[0.1, 2, 3, 4, 1e-7]]),
}


def test_every_image_has_a_file_in_the_official_form(tmp_path):
    path = tmp_path / "new" / "s.zip"
    write_submission(path, FOUND, IMAGES)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name).decode() for name in archive.namelist()}
    assert content == {
        "0--Parade/a.b_1.txt": "a.b_1\n1\n0.1 2.0 3.0 4.0 1e-07\n",
        "1--Handshaking/c_2.txt": "c_2\n2\n5.5 6.0 7.0 8.0 0.75\n1.0 2.0 3.0 4.0 0.25\n",
        "1--Handshaking/d_3.txt": "d_3\n0\n",
    }
    assert [file.name for file in path.parent.iterdir()] == ["s.zip"]
    checked = check_submission(path, IMAGES)
    assert {image: len(rows) for image, rows in checked.items()} == dict(
        zip(IMAGES, [1, 2, 0], strict=True)
    )


def test_archive_does_not_depend_on_order_or_time(tmp_path, monkeypatch):
    write_submission(tmp_path / "a.zip", FOUND, IMAGES)
    monkeypatch.setattr("time.time", lambda: 1e9)
    reordered = {image: FOUND[image][::-1] for image in sorted(FOUND)}
    write_submission(tmp_path / "b.zip", reordered, IMAGES[::-1])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        ({"0--Parade/a": np.zeros((0, 5))}, "not in the list of 3 images, such as 0--Parade/a;"),
        ({IMAGES[1]: np.array([[0, 0, 1, 1, np.nan]])}, "1--Handshaking/c_2: row 0 holds nan"),
        ({IMAGES[1]: np.zeros((2, 4))}, r"1--Handshaking/c_2: expected an array of shape \(n, 5\)"),
    ],
)
def test_wrong_detections_leave_the_old_archive_alone(tmp_path, detections, message):
    path = tmp_path / "s.zip"
    write_submission(path, FOUND, IMAGES)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        write_submission(path, detections, IMAGES)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0--Parade/a.b_1.txt": None}, r"s\.zip lacks a file for 0--Parade/a\.b_1; write"),
        (
            {"2--Demo/x.txt": "x\n0\n", "2--Demo/y.txt": "y\n0\n"},
            "has a file for the unknown image 2--Demo/x and 1 more",
        ),
        (
            {"0--Parade/a.b_1.txt": "a.b_1\n2\n1 2 3 4 0.5\n1 2 3 4 0.6\n"},
            r"has ascending scores for 0--Parade/a\.b_1",
        ),
        ({"0--Parade/a.b_1.txt": "a.b_1\n2\n1 2 3 4 0.5\n"}, "line 2: 2 detections announced"),
        ({"0--Parade/a.b_1.txt": "a.b_1\n1\n1 2 3 4 nan\n"}, "line 3: expected five finite"),
    ],
)
def test_archives_of_others_are_checked(tmp_path, changes, message):
    files = {f"{image}.txt": f"{image.partition('/')[2]}\n0\n" for image in IMAGES} | changes
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name, text in files.items():
            if text is not None:
                archive.writestr(name, text)
    with pytest.raises(ValueError, match=message):
        check_submission(tmp_path / "s.zip", IMAGES)


def test_archive_of_another_system_reads_alike(tmp_path):
    """A folder around the events, Windows line ends, shadow files, notes, entries for folders."""
    write_submission(tmp_path / "ours.zip", FOUND, IMAGES)
    with (
        zipfile.ZipFile(tmp_path / "ours.zip") as ours,
        zipfile.ZipFile(tmp_path / "theirs.zip", "w") as theirs,
    ):
        theirs.writestr("results/", "")
        theirs.writestr("results/readme.txt", "our best model\r\n")
        theirs.writestr("results/.DS_Store", "")
        for name in ours.namelist():
            theirs.writestr(f"results/{name}", ours.read(name).replace(b"\n", b"\r\n"))
            folder, _, file = name.rpartition("/")
            theirs.writestr(f"__MACOSX/results/{folder}/._{file}", b"\x00\x05\x16\x07")
    expected = read_detections(tmp_path / "ours.zip")
    found = check_submission(tmp_path / "theirs.zip", IMAGES)
    assert found.keys() == expected.keys()
    assert all((found[image] == rows).all() for image, rows in expected.items())


@pytest.mark.parametrize(
    "text",
    [
        "0--Parade/a.b_1.jpg\r\n1--Handshaking/c_2.jpg\r\n\r\n1--Handshaking/d_3.jpg",
        "0--Parade/a.b_1.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n1--Handshaking/c_2.jpg\n0\n"
        "0 0 0 0 0 0 0 0 0 0\n1--Handshaking/d_3.png\n1\n1.5 2 3 4\n",
    ],
    ids=["list", "annotations"],
)
def test_images_are_named_by_lists_and_annotations(tmp_path, text):
    path = tmp_path / "images.txt"
    path.write_bytes(text.encode("utf-8-sig"))
    assert read_image_names(path) == IMAGES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("e/a.jpg\nb.jpg\n", r"images\.txt: expected images <event>/<image>\.jpg.*'b\.jpg'"),
        ("e/a.jpg\n../a.jpg\n", r"images\.txt: expected images .* found '\.\./a\.jpg'"),
        ("e/a.jpg\ne/a.png\n", r"images\.txt, line 2: expected a name that differs.* line 1"),
        ("e/a.jpg 1 4 3 5 7\n", r"images\.txt, line 1: expected the path of an image alone"),
        ("1 2 3 4\n", r"images\.txt, line 1: expected the path of an image"),
    ],
)
def test_wrong_lists_are_named_with_the_place(tmp_path, text, message):
    path = tmp_path / "images.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_image_names(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.txt not found"):
        read_image_names(tmp_path / "absent.txt")


def test_list_of_the_real_validation_images(shared_data):
    folder = shared_data / "official/wider_face"
    images = read_image_names(folder / "wider_face_split/wider_face_val_bbx_gt.txt")
    detections = check_submission(folder / "detections/retinaface_resnet152.zip", images)
    assert len(detections) == len(images) == 3226
