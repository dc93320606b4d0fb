from __future__ import annotations

from pathlib import Path

import pytest

from df2s2_d2 import list_configs
from df2s2_d2.cli.program import main

ROOT = Path(__file__).resolve().parents[2]
NAME = "DSFD/DSFD_R101.yaml"


def test_configs_are_listed_one_a_line(capsys):
    assert main(["configs"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert dict(lines) == list_configs()


def test_a_config_is_printed_and_found(capsys):
    assert main(["configs", NAME]) == 0
    text = (ROOT / "configs" / NAME).read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    assert main(["configs", "--path", NAME]) == 0
    assert Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8") == text


def test_unknown_names_are_told_what_they_are_like(capsys):
    assert main(["configs", "DSFD/DSFD_R100.yaml"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("df2s2 configs: error: ") and NAME in error


def test_a_path_is_that_of_a_config():
    with pytest.raises(SystemExit) as stop:
        main(["configs", "--path"])
    assert stop.value.code == 2
