"""What docs/in_your_model.md shows runs, from top to bottom, in a folder far from the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from df2s2_d2.modeling import FEM, FFP
from tests.document_snippets import snippets
from tests.modeling import scenes

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/in_your_model.md"


@pytest.fixture
def my_faces(tmp_path, monkeypatch):
    """Two photographs and their faces, where the document has them."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.effect_noise((160, 120), 60).convert("RGB").save(f"photos/{name}")
    content = {
        "images": [{"id": k, "file_name": name} for k, name in enumerate(("a.jpg", "b.jpg"))],
        "annotations": [
            {"id": k, "image_id": k % 2, "bbox": [10 + 30 * k, 20, 24, 32], "iscrowd": 0}
            for k in range(4)
        ],
    }
    Path("faces.json").write_text(json.dumps(content))
    yield
    DatasetCatalog.remove("my_faces")
    MetadataCatalog.remove("my_faces")


def test_every_snippet_runs(my_faces):
    blocks = [snippet.code_at_its_line for snippet in snippets(DOCUMENT, "python")]
    assert len(blocks) > 10
    names: dict = {}
    torch.manual_seed(0)
    for block in blocks:
        exec(compile(block, str(DOCUMENT), "exec"), names)

    # They do what the text says of them.
    assert isinstance(names["retinanet"].backbone.neck, FEM)
    assert isinstance(names["faster_rcnn"].backbone.neck, FFP)
    for model in (names["retinanet"], names["faster_rcnn"], names["vit_detector"]):
        with torch.no_grad():
            (output,) = model.eval()([scenes.mapped_image((128, 128), [[20, 30, 60, 80]], seed=0)])
        assert output["instances"].has("pred_boxes")
    positive = names["positive"].sum(dim=1).tolist()
    assert min(positive) >= 1
    assert names["logits"].grad.abs().sum() > 0
    assert len(names["batch"]) == 2
    assert all(sample["image"].shape == (3, 128, 128) for sample in names["batch"])
    rows = [json.loads(x) for x in Path("output/my_trainer/metrics.json").read_text().splitlines()]
    assert any("wider_face/AP_hard" in row for row in rows)
    assert Path("output/my_faces/results.json").is_file()
    assert names["base"].train.max_iter == 1000
