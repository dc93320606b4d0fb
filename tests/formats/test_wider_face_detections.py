from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.formats.wider_face_detections import read_event_files, write_detections
from tests.formats.damaged_archives import damage

ROWS = [[1.0, 2.0, 3.0, 4.0, 0.5], [1.5, -2.0, 3.25, 4e2, 0.25]]
TEXT = "i\n2\n1 2 3 4 0.5\n1.5 -2 3.25 4e2 0.25\n"


def write_files(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return directory


def zip_files(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("i\n", "i.jpg\n", 1),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "  \n").replace(" 0.5", "\t0.5 "),
        TEXT.rstrip(),
        TEXT + "\n \n\n",
        TEXT.replace("1.5 -2", "\n  1.5 -2"),
        "i\n2\n1e0 2.0e+00 3 4 5E-1\n15e-1 -2 3.25 400 .25\n",
    ],
    ids=["plain", "jpg", "crlf", "blanks", "no-end", "blank-end", "blank-inside", "scientific"],
)
def test_variants_of_the_format(tmp_path, text):
    # A plain neighbour, since files are parsed together.
    write_files(tmp_path, {"e/i.txt": text, "e/j.txt": "j\n1\n9 9 9 9 1\n"})
    detections = read_event_files(tmp_path)
    assert {image: rows.tolist() for image, rows in detections.items()} == {
        "e/i": ROWS,
        "e/j": [[9, 9, 9, 9, 1]],
    }
    assert detections["e/i"].dtype == np.float64


@pytest.mark.parametrize("text", ["", "\n", "i\n0\n", "i\n0", "i.jpg\r\n0\r\n"])
def test_files_without_detections(tmp_path, text):
    write_files(tmp_path, {"e/i.txt": text, "e/j.txt": TEXT})
    detections = read_event_files(tmp_path)
    assert detections["e/i"].shape == (0, 5)
    assert detections["e/j"].tolist() == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "i\n1\n1 2 3 4 nan\n",
            r"i\.txt, line 3: expected five finite numbers.*found '1 2 3 4 nan'",
        ),
        ("i\n2\n1 2 3 4 1\n1 2 inf 4 1\n", r"i\.txt, line 4: expected five finite"),
        ("i\n2\n1 2 3 4\n5 1 2 3 4 5\n", r"i\.txt, line 3: .*found '1 2 3 4'"),
        ("i\n1\n1 2 3 4 0.5 7\n", r"i\.txt, line 3"),
        ("i\n2\n1 2 3 4 0.5\n1,2,3,4,0.5\n", r"i\.txt, line 4"),
        ("i\n3\n1 2 3 4 0.5\n", r"i\.txt, line 2: 3 detections announced, but 1 follow"),
        ("i\n0\n1 2 3 4 0.5\n", r"i\.txt, line 2: 0 detections announced, but 1 follow"),
        ("1 2 3 4 0.5\n1 2 3 4 0.5\n", r"i\.txt, line 2: expected the number of detections"),
        ("i\n", r"i\.txt, line 2: expected the number of detections, found ''"),
        ("i\n-1\n", r"i\.txt, line 2: expected the number of detections, found '-1'"),
    ],
)
def test_malformed_files_are_named_with_the_line(tmp_path, text, message):
    write_files(tmp_path, {"e/h.txt": TEXT, "e/i.txt": text, "e/j.txt": TEXT})
    with pytest.raises(ValueError, match=message):
        read_event_files(tmp_path)


@pytest.mark.parametrize("top", ["", "results/", "results/val/"])
def test_folders_and_archives_at_any_depth(tmp_path, top):
    files = {
        f"{top}0--Parade/a.jpg_1.x.txt": TEXT,
        f"{top}1--Handshaking/g.p.j_2.txt": TEXT,
        f"{top}README.txt": "AP of some release\n",
        f"{top}0--Parade/notes.md": "unread",
        "__MACOSX/0--Parade/._a.txt": "shadow",
    }
    names = ["0--Parade/a.jpg_1.x", "1--Handshaking/g.p.j_2"]
    assert list(read_event_files(zip_files(tmp_path / "d.zip", files))) == names
    assert list(read_event_files(write_files(tmp_path / "d", files))) == names


@pytest.mark.parametrize("bytes_per_batch", [1, 2 * len(TEXT), 10**9])
def test_reading_in_batches_changes_nothing(tmp_path, monkeypatch, bytes_per_batch):
    write_files(tmp_path, {"e/0.txt": "", **{f"e/{k}.txt": TEXT for k in range(1, 5)}})
    monkeypatch.setattr("df2s2_d2.formats.wider_face_detections._BYTES_PER_BATCH", bytes_per_batch)
    detections = {image: rows.tolist() for image, rows in read_event_files(tmp_path).items()}
    assert detections == {"e/0": [], **{f"e/{k}": ROWS for k in range(1, 5)}}


def test_two_files_on_one_image(tmp_path):
    write_files(tmp_path, {"run1/e/i.txt": TEXT, "run2/e/i.txt": TEXT})
    with pytest.raises(ValueError, match=r"run2/e/i\.txt and .*run1/e/i\.txt are both about e/i"):
        read_event_files(tmp_path)


def test_paths_that_hold_no_detections(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent not found"):
        read_event_files(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"holds no <event>/<image>\.txt"):
        read_event_files(write_files(tmp_path / "flat", {"i.txt": TEXT}))
    (tmp_path / "d.zip").write_bytes(b"PK, but not really")
    with pytest.raises(ValueError, match=r"d\.zip is neither a folder nor a zip archive"):
        read_event_files(tmp_path / "d.zip")


def test_damaged_archive_is_named(tmp_path):
    path = zip_files(tmp_path / "d.zip", {"e/i.txt": TEXT * 50})
    damage(path)
    with pytest.raises(ValueError, match=r"d\.zip is damaged"):
        read_event_files(path)


def test_written_detections_read_back_exactly(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 5)) * [1e3, 1e-3, 10, 10, 1]
    rows[:, 2:4] = np.abs(rows[:, 2:4])
    single = rng.random((3, 5), np.float32)
    write_detections(tmp_path, {"e/i.a": rows, "f/j": single, "f/none": np.zeros((0, 5))})
    back = read_event_files(tmp_path)
    np.testing.assert_array_equal(back["e/i.a"], rows[np.argsort(-rows[:, 4])])
    np.testing.assert_array_equal(back["f/j"], single[np.argsort(-single[:, 4])])
    assert back["f/none"].shape == (0, 5)
    assert (tmp_path / "f" / "none.txt").read_text() == "none\n0\n"
    lines = (tmp_path / "e" / "i.a.txt").read_text().splitlines()
    assert lines[:2] == ["i.a", "40"] and len(lines) == 42


@pytest.mark.parametrize("image", ["i", "/i", "e/", "../i", "e/../i", "a/b/c", "e\\..\\/i"])
def test_image_names_cannot_leave_the_folder(tmp_path, image):
    with pytest.raises(ValueError, match="no image name"):
        write_detections(tmp_path / "out", {image: np.zeros((0, 5))})
    assert not (tmp_path / "i.txt").exists()


def test_written_arrays_have_five_columns(tmp_path):
    with pytest.raises(ValueError, match=r"e/i: expected an array of shape \(n, 5\)"):
        write_detections(tmp_path, {"e/i": np.zeros((5, 4))})


def test_a_number_of_detections_has_no_thousands_of_digits(tmp_path):
    path = write_files(tmp_path / "d", {"e/i.txt": f"i\n{'9' * 5_000}\n1 2 3 4 0.5\n"})
    with pytest.raises(ValueError, match=r"i\.txt, line 2: expected the number of detections"):
        read_event_files(path)


def test_sides_below_nothing_are_named_with_their_line(tmp_path):
    rows = "1 2 3 4 0.5\n5 6 0 -0.5 0.4\n5 6 7 -8 0.3\n"
    path = write_files(tmp_path / "d", {"e/i.txt": f"i\n3\n{rows}"})
    with pytest.raises(ValueError, match=r"i\.txt, line 5: expected a width and height of 0 or m"):
        read_event_files(path)
