"""``df2s2 convert`` as it is typed."""

from __future__ import annotations

import shlex

import pytest

from df2s2_d2.cli import convert
from df2s2_d2.cli.program import build_parser, main
from df2s2_d2.formats.wider_face_text import WiderFaceWriter, read_annotations
from tests.formats.annotated_faces import annotated_images, write_image_files


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with the annotations faces.txt of images/, which is the current one."""
    monkeypatch.chdir(tmp_path)
    write_image_files(tmp_path / "images")
    writer = WiderFaceWriter(tmp_path / "faces.txt")
    for image in annotated_images().values():
        writer.add(image)
    writer.close()
    return tmp_path


def run(command: str) -> int:
    return main(["convert", *shlex.split(command)])


def test_counts_and_losses_are_told(files, capsys):
    assert run("faces.txt --to yolo --output y --images images --link-images") == 0
    assert capsys.readouterr().out.splitlines() == [
        "faces.txt (wider) -> y (yolo): 4 images, 1 of them without faces; 5 faces, 1 of them to "
        "be ignored",
        "dropped: 1 ignored faces, 3 attributes of faces",
    ]
    assert (files / "y/images/c.v2.png").samefile(files / "images/c.v2.png")
    for given in ("y", "y/data.yaml", "y/labels", "y/images"):
        assert run(f"{given} --from yolo --output back.txt --overwrite") == 0
        assert capsys.readouterr().out.splitlines()[1] == "dropped: nothing"
        assert [len(image.boxes) for image in read_annotations("back.txt")] == [2, 0, 1, 1]


def test_classes_of_others_are_kept(files, capsys):
    (files / "y").mkdir()
    (files / "y/classes.txt").write_text("person\ncar\n")
    assert run("faces.txt --to yolo --output y --images images") == 1
    assert "classes.txt" in capsys.readouterr().err
    assert (files / "y/classes.txt").read_text() == "person\ncar\n"
    assert not (files / "y/labels").exists()


def test_formats_are_recognised(files, capsys):
    for start, options in (
        ("faces.txt", "--output a.json"),
        ("a.json", "--to voc --output v --images images --link-images"),
        ("v", "--output b.json"),
        ("v/Annotations/c.v2.xml", "--output c.json"),
        ("b.json", "--to yolo --output y --images images --link-images"),
        ("y", "--output d.txt"),
        ("y/labels", "--output e.txt"),
        ("y/data.yaml", "--output f.json"),
    ):
        assert run(f"{start} {options}") == 0, capsys.readouterr().err
        assert capsys.readouterr().out.splitlines()[0].startswith(f"{start} (")


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("absent.txt --output a.json", 1, "absent.txt does not exist: give annotations of faces"),
        ("images --output a.json", 1, "images is of no format known by its name"),
        ("images/c.v2.png --output a.json", 1, "say which by --from, one of wider (WIDER FACE"),
        ("faces.txt --output out", 2, "the name out tells no format: add --to, one of wider"),
        ("faces.txt --output faces.txt", 1, "faces.txt is what is to be read"),
        ("faces.txt --output other.json", 1, "other.json exists: choose another output, or add"),
        ("faces.txt --to voc --output v", 1, "The size of 0--Parade/a.jpg is not known"),
        ("faces.txt --to voc --output v --images no", 1, "The folder of images no does not exist"),
        ("faces.txt --to voc --output other.json", 1, "other.json is a file, but Pascal VOC's XML"),
        ("faces.txt --output a.json --link-images", 1, "--link-images is for YOLO and VOC"),
        ("faces.txt --to voc --output v --link-images", 1, "--link-images needs the folder"),
        ("faces.txt --to yolo --output . --images . --link-images", 1, "images exists and is not"),
        ("other.json --output a.txt", 1, "other.json, line 1, column 1: expected JSON"),
        ("both --output a.txt", 1, "both looks like several formats: say which by --from"),
    ],
)
def test_mistakes_are_one_sentence(files, capsys, command, code, message):
    (files / "other.json").write_text("no JSON")
    (files / "both/labels").mkdir(parents=True)
    (files / "both/a.xml").touch()
    before = sorted(files.rglob("*"))
    if code == 2:
        with pytest.raises(SystemExit):
            run(command)
    else:
        assert run(command) == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error and error.startswith("df2s2 convert: error: ")
    assert [path for path in sorted(files.rglob("*")) if path.name != "v"] == before


def test_examples_in_the_help_are_understood():
    lines = [line for line in convert.__doc__.splitlines() if line.startswith("  df2s2 convert")]
    assert len(lines) == 4
    for line in lines:
        build_parser(convert, "df2s2 convert").parse_intermixed_args(shlex.split(line)[2:])
