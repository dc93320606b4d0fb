"""What docs/python_api.md shows works, in an empty folder with the files that it names."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from df2s2_d2 import Faces
from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.inference.trained_weights import CONFIG_KEY, read_checkpoint
from df2s2_d2.models.index import INDEX_VARIABLE, add_row, find_model
from tests.document_snippets import snippets
from tests.inference.media.scenes import moving_face, write_video

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs/python_api.md"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    photograph = Image.open(ROOT / "docs/photographs/astronaut.jpg")
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg"):
        photograph.save(tmp_path / name)
    (tmp_path / "photos/broken.jpg").write_bytes(b"no image")
    write_video(tmp_path / "clip.mp4", moving_face(2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(INDEX_VARIABLE, str(index_of_a_faster_model(tmp_path)))
    return tmp_path


def index_of_a_faster_model(folder: Path) -> Path:
    """In which "faces-small" looks at images in one size, a quarter of its own."""
    model, cfg = find_model("faces-small"), config_of("faces-small")
    cfg.TEST.AUG.ENABLED, cfg.INPUT.MIN_SIZE_TEST = False, 208
    content = {**read_checkpoint("faces-small"), CONFIG_KEY: cfg.dump()}
    torch.save(content, folder / "faces-small.pth")
    onnx = {**asdict(model.files["onnx"]), "file": model.files["onnx"].location}
    files = {"weights": {**onnx, "file": "faces-small.pth"}, "onnx": onnx}
    row = {key: value for key, value in asdict(model).items() if key != "name"}
    add_row(folder / "index.json", "faces-small", {**row, "files": files})
    return folder / "index.json"


def test_all_that_is_shown_runs(folder, capsys):
    pytest.importorskip("timm")
    names: dict = {}
    printed = {}
    for snippet in snippets(DOCUMENT, "python"):
        exec(compile(snippet.code_at_its_line, str(DOCUMENT), "exec"), names)
        printed[snippet.code] = capsys.readouterr().out

    def shown_by(words: str) -> list[str]:
        (out,) = (out for code, out in printed.items() if words in code)
        return out.splitlines()

    (first,) = shown_by("for box, score in")
    assert float(first.split()[-1]) > 0.9
    assert len(set(shown_by("candidates in"))) == 1 and len(shown_by("candidates in")) == 4
    record = json.loads(*shown_by("certain.to_json()"))
    left, top, right, bottom = record["faces"][0]["box"]
    assert 170 < left < 190 and 50 < top < 70 and 260 < right < 280 and 160 < bottom < 195
    drawn = np.asarray(Image.open("drawn.jpg")).astype(int) - np.asarray(Image.open("photo.jpg"))
    assert np.abs(drawn).max() > 100
    assert Image.open("face_0.jpg").width == pytest.approx(1.6 * (right - left), abs=3)

    *results, failure = shown_by("search.failures")
    assert [line.split()[0] for line in results] == ["photos/one.jpg", *["clip.mp4"] * 2]
    assert results[0].endswith(" 1") and "frame 1, 0.10 s" in results[2]
    assert failure.startswith("The image photos/broken.jpg cannot be read")
    assert len(shown_by("def frames")) == 2
    assert len(json.loads(shown_by("OnnxPredictor")[0])["faces"]) == 1
    no_image, absent, in_a_list = shown_by('b"no image"')
    assert "8 bytes" in no_image and "absent.jpg" in absent and in_a_list.startswith("Image 1: ")
    assert isinstance(names["faces"], Faces)
