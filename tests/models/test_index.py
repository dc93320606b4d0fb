"""What a model's name stands for."""

from __future__ import annotations

import hashlib
import json

import pytest

from df2s2_d2.models import find_model, list_models, local_file

ROW = {
    "description": "A detector",
    "config": "DF2S2/DF2S2_R50.yaml",
    "license": "Apache-2.0",
    "protocol": "original size",
    "ap": {"easy": 0.5},
    "files": {"weights": {"file": "own.safetensors", "sha256": "0" * 64, "size": 7}},
}
REMOTE = {"file": "https://models.example/own.safetensors", "sha256": "ab" * 32, "size": 25_000_000}


@pytest.fixture
def own_index(tmp_path, monkeypatch):
    """Function that makes an index of one's own of some rows and returns its path."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def write(rows):
        path = tmp_path / "index.json"
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
        monkeypatch.setenv("DF2S2_MODEL_INDEX", str(path))
        return path

    return write


def test_the_files_of_packaged_models_are_there_and_the_right_ones():
    models = list_models()
    assert "faces-small" in models
    for name, model in models.items():
        assert model.name == name and model.license and model.protocol
        for file in model.files.values():
            content = file.path.read_bytes()
            assert len(content) == file.size <= 8e6
            assert hashlib.sha256(content).hexdigest() == file.sha256


def test_names_stand_for_files_and_everything_else_for_itself():
    files = find_model("faces-small").files
    assert local_file("faces-small") == str(files["weights"].path)
    assert local_file("faces-small", "onnx") == str(files["onnx"].path)
    for path in ("", "./faces-small", "output/model_final.pth", "no-such-model", "s3://b/faces"):
        assert local_file(path) == path


def test_unknown_models_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no model called 'face-smal': did you mean 'faces-small'"):
        find_model("face-smal")
    with pytest.raises(ValueError, match="no model called 'xyz': known are faces-small"):
        find_model("xyz")


def test_rows_of_ones_own_come_first(own_index, tmp_path):
    own_index({"own": ROW, "faces-small": ROW})
    assert local_file("own") == str(tmp_path / "own.safetensors") == local_file("faces-small")
    assert find_model("own").ap == {"easy": 0.5}
    with pytest.raises(ValueError, match="'own' has no onnx file: it has weights"):
        local_file("own", "onnx")


def test_models_that_were_not_downloaded_say_how(own_index, tmp_path):
    own_index({"own": {**ROW, "files": {"weights": REMOTE}}})
    with pytest.raises(FileNotFoundError, match=r"'df2s2 models download own' \(25.0 MB\)"):
        local_file("own")
    path = find_model("own").files["weights"].path
    assert path.is_relative_to(tmp_path / "torch") and path.name.endswith("own.safetensors")
    path.parent.mkdir(parents=True)
    path.touch()
    assert local_file("own") == str(path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("{", "is no index of models"),
        ("[" * 10_000, "is no index of models"),
        ([ROW], "expected an object of rows by name"),
        ({"own": {}}, "the row 'own' lacks 'files'"),
        ({"own": []}, "the row 'own' is wrong"),
        ({"Own.pth": ROW}, "a name is made of a-z, 0-9 and single hyphens"),
        ({"own": {**ROW, "files": {"onnx": REMOTE}}}, "'files' lacks 'weights'"),
        ({"own": {**ROW, "files": {"weights": {**REMOTE, "sha256": "x"}}}}, "no SHA-256"),
        ({"own": {**ROW, "files": {"weights": {**REMOTE, "size": "7"}}}}, "no size in bytes"),
        (
            {"own": {**ROW, "files": {"weights": {**REMOTE, "file": "http://a.example/b"}}}},
            "no https:// address",
        ),
        ({"own": {**ROW, "ap": {"easy": "good"}}}, "could not convert"),
    ],
)
def test_what_is_wrong_in_an_index_is_one_sentence(own_index, rows, words):
    path = own_index(rows)
    with pytest.raises(ValueError, match=words) as caught:
        list_models()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
