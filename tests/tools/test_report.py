from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import report

from df2s2_d2.evaluation import write_detections
from tests.evaluation.wider_face.attribute_files import add_attributes
from tests.evaluation.wider_face.ground_truth_files import save_ground_truth
from tests.pages.browsers import browse
from tests.pages.html_outline import Outline


@pytest.fixture
def case(tmp_path) -> Path:
    """Two images, one without detections; three faces, one found; one false positive."""
    save_ground_truth(tmp_path)
    add_attributes(tmp_path)
    rows = np.array([[1, 2, 3, 4, 0.9], [30, 30, 8, 8, 0.6], [30, 30, 9, 9, 0.1]])
    write_detections(tmp_path / "<b>found", {"0--Parade/a.b_1": rows})
    for image in ("0--Parade/a.b_1", "1--Handshaking/c_2"):
        (tmp_path / "images" / image).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "images" / f"{image}.jpg"), np.zeros((60, 80, 3), np.uint8))
    return tmp_path


@pytest.fixture
def run(case, monkeypatch):
    """Function that writes a report of the case and returns its outline."""

    def run(*options) -> Outline:
        path = case / "report.html"
        script = ["report.py", case / "<b>found", case, "--output", path, *options]
        monkeypatch.setattr(sys, "argv", list(map(str, script)))
        report.main()
        return Outline(path.read_text(encoding="utf-8"))

    return run


def check_needs_no_other_file(document: str) -> None:
    assert not re.search(r"https?:|//|@import|<script[^>]|<link|<iframe", strip_pictures(document))
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')>]{1,12})""", document)
    assert sources
    assert all(source.startswith(("#", "data:image/p", "data:image/j")) for source in sources)


def strip_pictures(document: str) -> str:
    return re.sub(r"base64,[A-Za-z0-9+/=]+", "", document)


def test_report_has_every_section_in_one_file(case, run, capsys):
    outline = run("--images", case / "images", "--sheets", case / "sheets")
    document = (case / "report.html").read_text(encoding="utf-8")
    check_needs_no_other_file(document)
    assert outline.texts["h2"] == [
        "Average precision",
        "Precision and recall",
        "Errors and what they cost",
        "Missed faces",
        "Badly placed detections",
        "Duplicate detections",
        "Detections of background",
        "By face size",
        "By attribute",
        "By event",
        "Scores",
        "Images with most missed faces",
        "Images with most false positives",
    ]
    assert outline.texts["title"] == ["<b>found on WIDER FACE"]
    assert len(outline.attributes["img"]) == 8  # four of single errors
    assert all(image["alt"] for image in outline.attributes["img"])
    assert "report.html" in capsys.readouterr().out
    for name in ("missed_faces.png", "false_positives.png"):
        assert cv2.imread(str(case / "sheets" / name)) is not None


def test_report_tells_the_figures_of_the_case(run):
    """The found face comes first of all proposals, and it is one of three."""
    outline = run()
    tables = rows_of(outline)
    assert ["Easy", "3", "0.33333", "0.33333"] in tables
    assert ["Images without a file", "1"] in tables
    assert ["below 8 px", "2", "0.500", "0.500", "0.500"] in tables  # 3 x 4, 7 x 8 (7.5 px)
    assert ["8–16 px", "1", "0.000", "0.000", "0.000"] in tables
    assert ["clear", "1", "0.000", "0.000", "0.000"] in tables
    assert ["normal", "2", "0.500", "0.500", "0.500"] in tables
    assert ["0--Parade", "1", "1.000", "1.000", "1.000"] in tables
    assert ["Faces missed", "2"] in tables and ["False positives", "1"] in tables
    assert ["Precision", "0.500"] in tables
    assert ["1--Handshaking/c_2", "0", "2", "0"] in tables
    assert ["0--Parade/a.b_1", "1", "0", "1"] in tables


def rows_of(outline: Outline) -> list[list[str]]:
    """Texts of the rows of all tables, cut at every row header."""
    rows: list[list[str]] = []
    for tag, text in outline.sequence:
        if tag == "th":
            rows.append([text])
        elif tag == "td":
            rows[-1].append(text)
    return rows


def test_options_choose_faces_score_and_name(case, run):
    save_ground_truth(case, kept_lists=((1,), (1,)))
    add_attributes(case)
    assert ["Faces missed", "1"] in rows_of(run())
    outline = run("--setting", "all", "--score", "0.05", "--name", "A & B")
    assert ["Faces missed", "2"] in rows_of(outline)
    assert ["False positives", "2"] in rows_of(outline)
    assert "All annotated faces, by annotation" in outline.texts["caption"]
    assert outline.texts["h1"] == ["A & B on WIDER FACE"]


def test_missing_inputs_leave_a_sentence(case, run, capsys):
    notes = run().texts["p"]
    assert sum("--images" in note for note in notes) == 3
    assert any("protocol.json" in note for note in notes)
    save_ground_truth(case)
    (case / "protocol.json").write_text(json.dumps({"resize": "short side 800"}))
    outline = run("--images", case / "images")
    notes = outline.texts["p"]
    assert any("came without attributes" in note for note in notes)
    assert "Protocol: short side 800." in notes
    assert not any("--images" in note for note in notes)
    assert "lacks the variable blur_label_list" in capsys.readouterr().err


def test_result_without_errors_says_so(case, run):
    save_ground_truth(case, kept_lists=((1,), ()))
    shutil.rmtree(case / "<b>found")
    write_detections(case / "<b>found", {"0--Parade/a.b_1": np.array([[1, 2, 3, 4, 0.9]])})
    outline = run("--images", case / "images")
    assert outline.texts["p"].count("There are none.") == 6
    assert len(outline.attributes["img"]) == 2


def test_no_detections_at_all_is_still_a_report(case, run):
    shutil.rmtree(case / "<b>found")
    write_detections(case / "<b>found", {"0--Parade/a.b_1": np.zeros((0, 5))})
    outline = run()
    assert ["Precision", "–"] in rows_of(outline)
    assert ["Faces missed", "3"] in rows_of(outline)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("<b>found", "<b>found not found"),
        ("wider_hard_val.mat", "wider_hard_val.mat not found"),
        ("images/1--Handshaking/c_2.jpg", "c_2.jpg not found: give the folder"),
    ],
)
def test_errors_are_one_line(case, run, capsys, remove, message):
    path = case / remove
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(SystemExit) as stop:
        run("--images", case / "images")
    assert stop.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert not (case / "report.html").exists()


def test_sheets_need_images(case, run, capsys):
    with pytest.raises(SystemExit):
        run("--sheets", case / "sheets")
    assert "--sheets needs --images" in capsys.readouterr().err
    assert not (case / "sheets").exists()


def test_chromium_shows_the_report(case, run):
    run("--images", case / "images")
    # A name that needs no quoting in an address.
    (case / "report.html").rename(case / "r.html")
    for width, scheme in ((1200, 1), (390, 0)):
        picture = case / f"{width}.png"
        browse(
            case / "r.html",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={width},2000",
            f"--screenshot={picture}",
        )
        image = cv2.imread(str(picture))
        assert image.shape[:2] == (2000, width)
        background = np.median(image)
        assert background > 200 if scheme else background < 60
        assert 0.01 < (np.abs(image - background) > 60).any(axis=2).mean() < 0.6


@pytest.fixture
def with_errors(case) -> Path:
    """Of three faces one is found, a box is badly placed on one (IoU 40 / 104), one is missed."""
    rows = np.array([[1, 2, 3, 4, 0.9], [30, 30, 8, 8, 0.6]])
    badly_placed = np.array([[5, 10, 7, 8, 0.3]])
    shutil.rmtree(case / "<b>found")
    found = {"0--Parade/a.b_1": rows, "1--Handshaking/c_2": badly_placed}
    write_detections(case / "<b>found", found)
    return case


def test_kinds_of_errors_are_counted_and_shown(with_errors, run):
    outline = run("--images", with_errors / "images")
    tables = [row[:3] for row in rows_of(outline)]
    assert ["Missed", "1", "0.167"] in tables  # one of two instead of one of three
    assert ["Badly placed", "1", "0.222"] in tables  # 2 / 3 of precision for another third
    assert ["Duplicate", "0", "0.000"] in tables and ["Background", "1", "0.000"] in tables
    cards = [card for card in outline.attributes["figure"] if "data-facets" in card]
    assert [json.loads(card["data-facets"]) for card in cards] == [
        {"event": "1--Handshaking", "size": "8–16 px"},
        {"event": "1--Handshaking", "size": "below 8 px"},  # 7 x 8, of its face
        {"event": "0--Parade", "size": "8–16 px"},
    ]
    lines = outline.texts["figcaption"]
    assert any(line.startswith("score 0.300, 7 × 8 px, IoU 0.38, costs 2.2e-01") for line in lines)
    assert outline.texts["option"].count("1--Handshaking (2)") == 1
    outline = run("--images", with_errors / "images", "--examples", "0")
    assert len([card for card in outline.attributes["figure"] if "data-facets" in card]) == 0


def test_part_of_the_benchmark_by_event_and_size(with_errors, run, capsys):
    tables = rows_of(run("--event", "1--*"))
    assert ["Easy", "2", "0.00000", "0.00000"] in tables
    assert ["Files of other images", "0"] in tables
    assert ["Missed", "1", "0.000"] in [row[:3] for row in tables]
    outline = run("--images", with_errors / "images", "--min-size", "8")
    assert ["Easy", "1", "0.00000", "0.00000"] in rows_of(outline)  # the face of 9 x 9 pixels
    assert any("faces from 8 px" in text for text in outline.texts["p"])
    cards = [card for card in outline.attributes["figure"] if "data-facets" in card]
    assert len(cards) == 2  # the missed face and background, not the box on the small face
    with pytest.raises(SystemExit):
        run("--event", "2--*")
    assert "no event is named 2--*: there are 0--Parade, 1--Hand" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--min-size", "9", "--max-size", "9")
    assert "--min-size must be below --max-size" in capsys.readouterr().err
