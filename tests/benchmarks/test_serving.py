from __future__ import annotations

import json

import numpy as np
from PIL import Image

from benchmarks import make_table, serving
from tests.inference.conftest import checkpoint, checkpoint_config, save_checkpoint

__all__ = ["checkpoint", "checkpoint_config", "save_checkpoint"]


def test_service_is_measured_beside_a_predictor(checkpoint, tmp_path):
    image, output = tmp_path / "photo.png", tmp_path / "serving.json"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(image)
    options = ["--model", checkpoint, "--device", "cpu", "--clients", "1", "3"]
    options += ["--batch-sizes", "2", "--images", "4", "--rounds", "1", "--output", str(output)]
    serving.main([str(image), *options])
    document = json.loads(output.read_text(encoding="utf-8"))
    assert document["settings"]["image"] == "photo.png"
    rows = document["results"]
    assert [(row["what"], row["clients"]) for row in rows] == [
        ("Predictor", 0),
        ("service", 1),
        ("service", 3),
        ("service that finds nothing", 1),
    ]
    for row in rows:
        assert 0 < row["median_ms"] <= row["ms_of_95_percent"]
        assert row["images_per_second"] > 0
    assert make_table.to_markdown(document).count("\n") == 1 + 2 + len(rows)
