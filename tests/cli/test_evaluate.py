"""The commands on results, by the program; the doors in tools/ are tested with all options."""

from __future__ import annotations

import numpy as np
import pytest

from df2s2_d2.cli import report
from df2s2_d2.cli.program import main
from df2s2_d2.evaluation import write_detections
from df2s2_d2.evaluation.report import ALL_FACES
from df2s2_d2.evaluation.wider_face.ground_truth import SETTINGS
from tests.evaluation.wider_face.ground_truth_files import save_ground_truth


def test_evaluate_is_the_first_word_of_two_commands(capsys):
    assert main(["evaluate"]) == 2
    printed = capsys.readouterr().err
    assert "  wider-face " in printed and "  fddb " in printed
    assert "  detect " not in printed
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--help"])
    assert stop.value.code == 0
    assert main(["evaluate", "widerface"]) == 2
    assert "is it evaluate wider-face " in capsys.readouterr().err
    assert main(["fddb"]) == 2
    assert "is it evaluate fddb?" in capsys.readouterr().err


def test_detections_are_scored_and_explained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_ground_truth(tmp_path)
    write_detections(tmp_path / "found", {"0--Parade/a.b_1": np.array([[1, 2, 3, 4, 0.9]])})
    assert main(["evaluate", "wider-face", "found", "."]) == 0
    assert "AP_hard     0.33333" in capsys.readouterr().out
    assert main(["report", "found", "."]) == 0
    assert (tmp_path / "report.html").is_file()
    assert (
        main(["plot", "--output", "p.png", "--ground-truth", ".", "--detections", "a=found"]) == 0
    )
    (tmp_path / "list.txt").write_text("0--Parade/a.b_1.jpg\n")
    assert main(["submission", "found", "list.txt", "--output", "s.zip"]) == 0
    assert "1 detections in 1 images, checked" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["evaluate", "wider-face"], ["report"]])
def test_missing_files_are_one_line(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "absent", "."]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"df2s2 {' '.join(words)}: error: ")


def test_settings_of_a_report_are_those_of_the_ground_truth():
    assert report.SETTINGS == (*SETTINGS, ALL_FACES)
