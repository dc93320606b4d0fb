from __future__ import annotations

import zipfile

import numpy as np
import pytest

from df2s2_d2.formats.fddb_detections import read_detections, write_detections
from tests.formats.damaged_archives import damage

TEXT = "a/b/img_1\n2\n1 2 3 4 0.5\n1.5 -2 3.25 4e2 0.25\na/b/img_2\n0\na/c/img_1\n1\n9 9 9 9 1\n"
ROWS = {
    "a/b/img_1": [[1, 2, 3, 4, 0.5], [1.5, -2, 3.25, 400, 0.25]],
    "a/b/img_2": [],
    "a/c/img_1": [[9, 9, 9, 9, 1]],
}


def as_lists(detections: dict[str, np.ndarray]) -> dict[str, list]:
    return {image: rows.tolist() for image, rows in detections.items()}


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        TEXT.replace("\n", "  \n\n").replace(" 0.5", "\t0.5 "),
        TEXT.rstrip(),
        "\ufeff" + TEXT,
        TEXT.replace("img_1\n", "img_1.jpg\n"),
        TEXT.replace("1 2 3 4 0.5", "1e0 2.0e+00 3 0.4E1 5e-1"),
    ],
    ids=["plain", "crlf", "cr", "blanks", "no-end", "bom", "jpg", "scientific"],
)
def test_variants_of_the_format(tmp_path, text):
    path = tmp_path / "detections.txt"
    path.write_bytes(text.encode())
    detections = read_detections(path)
    assert as_lists(detections) == ROWS
    assert {rows.dtype.name for rows in detections.values()} == {"float64"}
    assert detections["a/b/img_2"].shape == (0, 5)


def test_ellipses_and_boxes_in_different_images(tmp_path):
    path = tmp_path / "detections.txt"
    path.write_text(TEXT + "a/d\n1\n30 20 1.5 100 90 0.7\n")
    assert as_lists(read_detections(path)) == ROWS | {"a/d": [[30, 20, 1.5, 100, 90, 0.7]]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n1\n1 2 3 4 nan\n", r"line 3: expected finite numbers.*found '1 2 3 4 nan'"),
        ("a\n2\n1 2 3 4 1\n\n1 2 inf 4 1\n", "line 5: expected finite numbers"),
        ("a\n1\n1 2 3 4\n", "line 3: expected finite numbers 'x y width height score' or"),
        ("a\n1\n1,2,3,4,1\n", "line 3: expected finite numbers"),
        ("a\n2\n1 2 3 4 1\n1 2 3 4 5 1\n", "line 4: .*like the rows before it"),
        ("a\n2\n1 2 3 4 1\nb\n0\n", "line 4: expected finite numbers.*found 'b'"),
        ("a\n1\n1 2 3 4 1\n1 2 3 4 1\n", "line 4: expected the name of an image; are there more"),
        ("a\n3\n1 2 3 4 1\n", "line 2: 3 rows of a announced, but the file ends after 1"),
        ("a\nb\n", "line 2: expected the number of rows of a; found 'b'"),
        ("a\n-1\n", "line 2: expected the number of rows of a; found '-1'"),
        ("a\n99999999999\n", "line 2: expected the number of rows of a"),
        ("a\n0\nb", "line 3: expected the number of rows of b; found ''"),
        ("1 2 3 4 0.5\n", "line 1: expected the name of an image"),
        ("a\n0\nb\n0\na.jpg\n0\n", r"line 5 and .*line 1 are both about a"),
        ("", "holds no detections: expected a file"),
        ("\n\n", "holds no detections: expected a file"),
    ],
)
def test_malformed_files_are_named_with_the_line(tmp_path, text, message):
    path = tmp_path / "detections.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_detections(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("top", ["", "results/s3fd/"])
@pytest.mark.parametrize("prefix", ["", "FDDB-"])
def test_folders_and_archives_of_folds(tmp_path, top, prefix):
    first, rest = TEXT.split("a/c/img_1")
    files = {
        f"{top}{prefix}fold-10-out.txt": "a/c/img_1" + rest,
        f"{top}{prefix}fold-01-out.txt": first,
        f"{top}fold-02-out.txt": "",
        f"{top}DiscROC.txt": "0.9 10 0.5\n",
        f"__MACOSX/{top}fold-01-out.txt": "shadow",
        f"{top}._fold-01-out.txt": "shadow",
    }
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
            path = tmp_path / "d" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert as_lists(read_detections(tmp_path / "d")) == ROWS
    assert as_lists(read_detections(tmp_path / "d.zip")) == ROWS


def test_an_image_in_two_folds_is_told(tmp_path):
    for k in (1, 2):
        (tmp_path / f"fold-0{k}-out.txt").write_text("a\n0\n")
    with pytest.raises(ValueError, match=r"fold-02-out\.txt, line 1 and .*fold-01-out\.txt"):
        read_detections(tmp_path)


def test_paths_that_hold_no_detections(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent not found"):
        read_detections(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no detections.*fold-XX-out.txt"):
        read_detections(tmp_path)
    (tmp_path / "d.zip").write_bytes(b"PK, but not really")
    with pytest.raises(ValueError, match=r"d\.zip is neither a folder nor a zip archive"):
        read_detections(tmp_path / "d.zip")


def test_damaged_archive_is_named(tmp_path):
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fold-01-out.txt", TEXT * 50)
    damage(path)
    with pytest.raises(ValueError, match=r"d\.zip is damaged"):
        read_detections(path)


def test_written_detections_read_back_exactly(tmp_path):
    rng = np.random.default_rng(0)
    boxes = rng.normal(size=(40, 5)) * [1e3, 1e-3, 10, 10, 1]
    boxes[:, 2:4] = np.abs(boxes[:, 2:4])
    ellipses = rng.random((3, 6), np.float32)
    folds = {"01": ["a/boxes", "a/left out"], "02": ["a/ellipses", "a/none"]}
    detections = {"a/ellipses": ellipses, "a/boxes": boxes, "a/none": np.zeros((0, 5))}
    write_detections(tmp_path / "out", detections, folds)
    back = read_detections(tmp_path / "out")
    assert list(back) == ["a/boxes", "a/left out", "a/ellipses", "a/none"]
    np.testing.assert_array_equal(back["a/boxes"], boxes[np.argsort(-boxes[:, 4])])
    np.testing.assert_array_equal(back["a/ellipses"], ellipses[np.argsort(-ellipses[:, 5])])
    assert (tmp_path / "out/fold-01-out.txt").read_text().endswith("\na/left out\n0\n")


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(ValueError, match="b belongs to none of the folds 01"):
        write_detections(tmp_path, {"b": np.zeros((0, 5))}, {"01": ["a"]})
    with pytest.raises(ValueError, match=r"a: expected an array of shape \(n, 5\) or \(n, 6\)"):
        write_detections(tmp_path, {"a": np.zeros((2, 4))}, {"01": ["a"]})


def test_a_number_of_rows_has_no_thousands_of_digits(tmp_path):
    path = tmp_path / "found.txt"
    path.write_text(f"a\n{'9' * 5_000}\n1 2 3 4 0.5\n")
    with pytest.raises(ValueError, match=r"found\.txt, line 2: expected the number of rows of a"):
        read_detections(path)
