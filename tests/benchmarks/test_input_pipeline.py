"""The benchmark of the input pipeline runs in a tiny setting, and compares equal work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import input_pipeline, make_table
from df2s2_d2 import load_config
from df2s2_d2.data import image_file
from df2s2_d2.data.augmentation import PhotometricTransform

ROOT = Path(__file__).resolve().parents[2]
CONFIG = str(ROOT / "configs/DF2S2/Base-DF2S2.yaml")
QUICK = ["--config-file", CONFIG, "--repeats", "2", "--warmup", "0", "--faces", "3"]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_drawn_photographs_are_measured_stage_by_stage(tmp_path, monkeypatch):
    monkeypatch.setattr(input_pipeline, "DRAWN_SIZES", ((96, 64),))
    output = tmp_path / "input_pipeline.json"
    gpus = ["--cores", "8", "--gpu-images-per-second", "50"]
    input_pipeline.main([*QUICK, "--count", "2", *gpus, "--output", str(output)])
    document = read_json(output)
    rows = document["results"]
    assert [row["mapper"] for row in rows] == [
        input_pipeline.OURS,
        input_pipeline.THEIRS,
        input_pipeline.THEIRS_WITH_OURS,
    ]
    for row in rows:
        assert row["photographs"] == "drawn, 96 x 64" and row["images"] == 2
        assert row["gpus_fed"] == pytest.approx(8 * row["images_per_second"] / 50)
        assert tuple(row["stages_ms"]) == input_pipeline.STAGES
        assert min(row["stages_ms"].values()) > 0
    assert rows[0]["times_slower"] == 1
    assert make_table.to_markdown(document).count("\n") == 1 + 2 + len(rows)
    # The stopwatch is taken off again.
    assert not hasattr(PhotometricTransform.apply_image, "__wrapped__")
    assert not hasattr(image_file.resized_window, "__wrapped__")


def test_both_mappers_do_the_same_work(tmp_path):
    """Equal draws give crops of equal sides, resized alike, and mirrored alike."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    (path,) = input_pipeline.draw_photographs(folder, (320, 240), count=1, seed=0)
    cfg = load_config(CONFIG, ["INPUT.PHOTOMETRIC_DISTORTION", False])
    # Where the whole short side is cropped from a square image, there is one crop only.
    Image.open(path).crop((0, 0, 240, 240)).save(path, quality=95)
    cfg.INPUT.SQUARE_CROP.MIN_SCALE = 1.0
    mappers = input_pipeline.build_mappers(cfg)
    (record,) = input_pipeline.make_records([path], num_faces=5, seed=0)
    for seed in range(4):
        images, faces = [], []
        for mapper in mappers.values():
            np.random.seed(seed)
            sample = mapper(dict(record))
            images.append(sample["image"].numpy().astype(int))
            faces.append(sample["instances"].gt_boxes.tensor.numpy())
        for image, boxes in zip(images[1:], faces[1:], strict=True):
            assert np.abs(image - images[0]).max() <= 1
            np.testing.assert_allclose(boxes, faces[0], rtol=1e-5)


def test_photographs_are_spread_over_a_folder(tmp_path):
    with pytest.raises(SystemExit, match="there are no JPEGs"):
        input_pipeline.find_photographs(tmp_path, 3)
    for index in range(9):
        (tmp_path / f"{index}.JPG").touch()
    (tmp_path / "a.txt").touch()
    found = input_pipeline.find_photographs(tmp_path, 3)
    assert [path.name for path in found] == ["0.JPG", "4.JPG", "8.JPG"]
    assert len(input_pipeline.find_photographs(tmp_path, 100)) == 9
    with pytest.raises(SystemExit, match=r"0\.JPG is no image"):
        input_pipeline.make_records(found, num_faces=1, seed=0)
