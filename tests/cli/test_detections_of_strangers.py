"""Files of detections that can only be mistakes: every command refuses them in one sentence."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from df2s2_d2.cli.program import main
from tests.evaluation.wider_face.ground_truth_files import save_ground_truth
from tests.formats.fddb_files import save_folds, save_image_sizes

IMAGES = ["0--Parade/a.b_1", "1--Handshaking/c_2"]
BOXES = {"0--Parade/a.b_1": [[1, 2, 3, 4]], "1--Handshaking/c_2": [[5, 6, 7, 8], [9, 9, 9, 9]]}
FDDB_IMAGE = "2002/08/11/big/img_591"


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """A folder with both benchmarks, in which commands are run."""
    monkeypatch.chdir(tmp_path)
    save_ground_truth(tmp_path)
    (tmp_path / "list.txt").write_text("".join(f"{image}.jpg\n" for image in IMAGES))
    (tmp_path / "fddb").mkdir()
    faces = np.array([[60, 40, 1.5, 100, 120]])
    save_folds(tmp_path / "fddb/FDDB-folds", {"01": {FDDB_IMAGE: faces}})
    save_image_sizes(tmp_path / "fddb/image_sizes.csv", {FDDB_IMAGE: (200, 240)})
    return tmp_path


def write_found(row_of=lambda box: box, name_of=lambda image: image) -> None:
    for image, boxes in BOXES.items():
        path = Path(f"found/{name_of(image)}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [" ".join(map(repr, [*row_of(box), 0.9])) for box in boxes]
        path.write_text("\n".join([image, str(len(rows)), *rows]) + "\n")


COMMANDS = [
    ["evaluate", "wider-face", "found", "."],
    ["report", "found", "."],
    ["plot", "--output", "p.png", "--ground-truth", ".", "--detections", "ours=found"],
    ["submission", "found", "list.txt", "--output", "s.zip"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("row_of", "message"),
    [
        (lambda b: [b[0], b[1], -b[2], b[3]], "a.b_1.txt, line 3: expected a width and height"),
        (lambda b: [1e308, *b[1:]], "a.b_1.txt, line 3: expected finite numbers, coordinates"),
        (lambda b: [x / 100 for x in b], "found: expected coordinates in pixels, but all of them"),
    ],
    ids=["negative sizes", "1e308", "fractions"],
)
def test_impossible_numbers_are_refused(work, capsys, words, row_of, message):
    write_found(row_of)
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(work.glob("[ps].*"))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "name_of",
    [
        lambda image: f"{image}.jpg",
        str.lower,
        lambda image: image.replace("--", "__"),
        lambda image: f"other/{image.partition('/')[2]}",
    ],
    ids=["extension", "lower case", "underscores", "another folder"],
)
def test_names_that_no_image_has_are_refused_with_both(work, capsys, words, name_of):
    write_found(name_of=name_of)
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "found: none of its 2 images is among the 2 of " in line
    assert f"for instance it has {name_of(IMAGES[0])!r}, where {IMAGES[0]!r} is expected" in line


def test_names_of_another_data_set_are_shown_beside_one_of_this(work, capsys):
    write_found(name_of=lambda image: f"e/{len(image)}")
    assert main(COMMANDS[0]) == 1
    assert "it has 'e/15', where '0--Parade/a.b_1' is expected" in capsys.readouterr().err


def test_some_odd_names_are_a_warning(work, caplog):
    write_found(name_of=lambda image: image.replace("1--H", "1--h"))
    assert main(COMMANDS[0]) == 0
    (warning,) = caplog.messages
    assert "the detections of 1 images are left out" in warning
    assert "'1--handshaking/c_2', where '1--Handshaking/c_2' is expected" in warning


def test_images_of_other_data_sets_among_the_known_are_no_reason_for_a_warning(work, caplog):
    write_found()
    write_found(name_of=lambda image: f"9--Press/{len(image)}")
    assert main(COMMANDS[0]) == 0
    assert caplog.messages == []


def test_sides_of_zero_are_scored(work, capsys):
    write_found(lambda box: [*box[:2], 0, box[3]])
    assert main([*COMMANDS[0], "--json"]) == 0
    assert '"detections": 3' in capsys.readouterr().out


def test_corners_in_place_of_sizes_are_warned_of(work, caplog):
    rows = [f"{x} {x} {x + 30} {x + 40} 0.9" for x in range(20)]
    Path("found/0--Parade").mkdir(parents=True)
    Path("found/0--Parade/a.b_1.txt").write_text("\n".join(["a", "20", *rows]))
    assert main(COMMANDS[0]) == 0
    assert "are these the corners x1 y1 x2 y2?" in caplog.text


@pytest.mark.parametrize(
    ("image", "row", "message"),
    [
        (
            FDDB_IMAGE,
            "60 60 -80 120 0.9",
            "line 1: expected a width and height of 0 or more",
        ),
        (FDDB_IMAGE, "60 -1 1.5 100 120 0.9", "line 1: expected radii of 0 or more in row 1"),
        (FDDB_IMAGE, "60 1e308 80 120 0.9", "line 1: expected finite numbers"),
        (FDDB_IMAGE, "0.3 0.25 0.4 0.5 0.9", "expected coordinates in pixels"),
        (f"originalPics/{FDDB_IMAGE}", "60 60 80 120 0.9", f"where '{FDDB_IMAGE}' is expected"),
        (FDDB_IMAGE.replace("/", "_"), "60 60 80 120 0.9", f"where '{FDDB_IMAGE}' is expected"),
    ],
)
def test_fddb_has_the_same_rules(work, capsys, image, row, message):
    Path("found.txt").write_text(f"{image}\n1\n{row}\n")
    assert main(["evaluate", "fddb", "found.txt", "fddb/FDDB-folds"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "found.txt" in line and message in line


def test_fddb_scores_what_is_right(work, capsys, caplog):
    Path("found.txt").write_text(f"{FDDB_IMAGE}\n1\n60 60 80 120 0.9\n")
    with caplog.at_level(logging.WARNING):
        assert main(["evaluate", "fddb", "found.txt", "fddb/FDDB-folds"]) == 0
    assert "1.00000" in capsys.readouterr().out
    assert caplog.messages == []
