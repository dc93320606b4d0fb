from __future__ import annotations

import json

import pytest

from df2s2_d2.evaluation import read_published_curves

CURVE = "precision,recall\n1.0,0.5\n0.5,0.75\n0.6,1.0\n"


def test_curves_of_all_methods(tmp_path):
    (tmp_path / "b_net_hard.csv").write_text(CURVE)
    (tmp_path / "b_net_easy.csv").write_bytes(CURVE.replace("\n", "\r\n").encode("utf-8-sig"))
    (tmp_path / "a_hard.csv").write_text("precision, recall\n1, 1\n\n")
    (tmp_path / "notes_on_all.csv").write_text("unread")
    methods = read_published_curves(tmp_path)
    assert list(methods) == ["a", "b_net"]
    assert methods["a"].ap == {"AP_hard": 1}
    # The envelope is 1 up to recall 0.5 and 0.6 from there on.
    assert methods["b_net"].ap == {
        "AP_easy": pytest.approx(0.5 + 0.5 * 0.6),
        "AP_hard": pytest.approx(0.8),
    }
    assert methods["b_net"].recall["easy"].tolist() == [0.5, 0.75, 1.0]
    assert methods["b_net"].precision["easy"].tolist() == [1.0, 0.5, 0.6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"m_easy\.csv, line 1: expected the header precision,recall; found ''"),
        ("recall,precision\n1,1\n", "line 1: expected the header"),
        ("precision,recall\n", "expected points below the header"),
        ("precision,recall\n1,0.5\n0.9\n", "line 3: expected two fractions of 1, found '0.9'"),
        ("precision,recall\n1,0.5\n0.9,x\n", "line 3: expected two fractions"),
        ("precision,recall\n99.1,0.5\n", "line 2: expected two fractions"),
        ("precision,recall\nnan,0.5\n", "line 2: expected two fractions"),
        ("precision,recall\n1,0.5\n0.9,0.4\n", "line 3: recall falls from 0.5 to 0.4"),
    ],
)
def test_malformed_curves_are_named_with_the_line(tmp_path, text, message):
    (tmp_path / "m_easy.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_published_curves(tmp_path)


def test_folders_without_curves(tmp_path):
    with pytest.raises(ValueError, match=r"holds no <method>_<setting>\.csv"):
        read_published_curves(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent not found"):
        read_published_curves(tmp_path / "absent")


def test_real_curves_have_the_published_figures(shared_data):
    folder = shared_data / "official/wider_face/baseline_curves"
    published = json.loads((folder / "ap.json").read_text())
    methods = read_published_curves(folder)
    assert methods.keys() == published.keys()
    for method, figures in published.items():
        # Published to four digits, from curves of five.
        expected = {f"AP_{setting}": pytest.approx(v, abs=1e-4) for setting, v in figures.items()}
        assert methods[method].ap == expected
