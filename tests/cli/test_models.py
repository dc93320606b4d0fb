"""Models by name, on the command line."""

from __future__ import annotations

import json

import pytest

from df2s2_d2.cli.program import main
from df2s2_d2.models import find_model


def test_models_are_listed_and_told(capsys):
    assert main(["models"]) == 0
    assert capsys.readouterr().out.startswith("faces-small  Small DF²S²")
    assert main(["models", "faces-small"]) == 0
    told = capsys.readouterr().out
    model = find_model("faces-small")
    for file in model.files.values():
        assert file.sha256 in told and str(file.path) in told
    assert model.protocol in told and f"easy {model.ap['easy']:.3f}" in told
    assert main(["models", "faces-smal"]) == 1
    assert "did you mean 'faces-small'" in capsys.readouterr().err


def test_what_is_published_is_found_by_its_name(checkpoint, tmp_path, monkeypatch, capsys):
    words = ["models", "publish", checkpoint, "--name", "own", "--output", str(tmp_path / "new")]
    assert main([*words, "--license", "MIT"]) == 0
    index = tmp_path / "new" / "index.json"
    assert str(index) in capsys.readouterr().out
    index.write_text(json.dumps({"other": json.loads(index.read_text())["own"]}))
    assert main(words) == 0
    assert json.loads(index.read_text()).keys() == {"other", "own"}
    monkeypatch.setenv("DF2S2_MODEL_INDEX", str(index))
    assert main(["models", "download", "own"]) == 0
    assert str(tmp_path / "new" / "own.safetensors") in capsys.readouterr().out


@pytest.mark.parametrize(("name", "words"), [("Own", "a name is made of"), ("own", "is no index")])
def test_what_cannot_be_published_writes_no_index(checkpoint, tmp_path, capsys, name, words):
    if name == "own":
        (tmp_path / "index.json").write_text("[")
    command = ["models", "publish", checkpoint, "--name", name, "--output", str(tmp_path)]
    assert main(command) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / f"{name}.safetensors").exists()
