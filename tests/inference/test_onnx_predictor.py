"""A detector by ONNX Runtime beside the same by PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.ops import box_iou

from benchmarks.models import random_images
from df2s2_d2 import Faces, OnnxPredictor, Predictor
from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, CarriedConfig
from df2s2_d2.inference.export import export_detector
from tests.inference.media.scenes import write_video
from tests.test_missing_packages import without
from tests.tiny_detectors import calibrate, tiny_config, tiny_detector

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ["DF2S2/DF2S2_R50.yaml", "INPUT.MIN_SIZE_TEST", 150, "INPUT.MAX_SIZE_TEST", 220]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One detector as a checkpoint and as an ONNX file, images of two sizes and a video."""
    folder = tmp_path_factory.mktemp("onnx")
    detector, cfg = tiny_detector(*CONFIG), tiny_config(*CONFIG)
    calibrate(detector, random_images(2, (256, 256)), num_candidates=2000)
    export_detector(detector, cfg, folder / "faces.onnx", "tiny")
    cfg.MODEL.FACE_DETECTOR.SCORE_THRESH_TEST = detector.score_threshold
    content = {"model": detector.state_dict(), CONFIG_KEY: CarriedConfig(cfg).state_dict()}
    torch.save(content, folder / "faces.pth")
    (folder / "photos").mkdir()
    for number, size in enumerate([(120, 200), (160, 130)]):
        (image,) = random_images(1, size, seed=number)
        pixels = np.asarray(image.permute(1, 2, 0))
        Image.fromarray(pixels).save(folder / f"photos/{number}.png")
    write_video(folder / "photos/clip.avi", [pixels] * 3, codec="MJPG")
    return folder


@pytest.fixture(scope="module")
def predictors(folder) -> tuple[Predictor, OnnxPredictor]:
    return Predictor(folder / "faces.pth"), OnnxPredictor(folder / "faces.onnx")


def assert_same(found: Faces, expected: Faces, least: int = 10) -> None:
    assert type(found) is type(expected) is Faces
    assert found.image_size == expected.image_size
    assert len(found) == len(expected) >= least
    ious = box_iou(*(torch.from_numpy(faces.xyxy) for faces in (found, expected)))
    best, partner = ious.max(dim=1)
    assert best.min() > 0.999 and len(set(partner.tolist())) == len(found)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)


def test_both_find_the_same_faces_in_images_of_any_kind(folder, predictors):
    by_torch, by_onnx = predictors
    path = folder / "photos/0.png"
    expected = by_torch.find(path)
    rgb = np.asarray(Image.open(path))
    for image in (path, path.read_bytes(), Image.open(path), rgb[..., ::-1]):
        assert_same(by_onnx(image), expected)
        assert_same(by_torch.find(image), expected)
    assert_same(OnnxPredictor(str(folder / "faces.onnx"), image_format="RGB")(rgb), expected)
    paths = sorted(folder.glob("photos/*.png"))
    for found, other in zip(by_onnx(paths), by_torch.find(paths), strict=True):
        assert_same(found, other)
    assert [len(x) for x in by_onnx.stream(paths)] == [len(x) for x in by_onnx.find(paths)]


def test_both_find_the_same_faces_in_folders(folder, predictors):
    by_torch, by_onnx = (list(predictor(folder / "photos")) for predictor in predictors)
    assert len(by_torch) == 2 + 3
    for result, other in zip(by_torch, by_onnx, strict=True):
        assert (result.path, result.frame, result.time) == (other.path, other.frame, other.time)
        np.testing.assert_array_equal(result.image, other.image)
        assert_same(result.faces, other.faces)
        assert type(result.detections).__name__ == "Instances" and other.detections is other.faces


def test_the_shipped_model_finds_the_face_of_a_photograph_either_way():
    pytest.importorskip("timm")
    # With a border, since in the one size of the file large faces get lower scores.
    bordered = ImageOps.expand(Image.open(ROOT / "docs/photographs/astronaut.jpg"), 128)
    photograph = np.asarray(bordered)[:, :, ::-1]
    overrides = ["TEST.AUG.ENABLED", False]
    found = [
        Predictor("faces-small", overrides=overrides, runtime="torch").find(photograph),
        OnnxPredictor("faces-small")(photograph),
    ]
    (box, score), (other_box, other_score) = (next(iter(faces)) for faces in found)
    # The files hold their weights in half precision, that of ONNX with its norms folded in.
    assert score > 0.9 and score == pytest.approx(other_score, abs=0.01)
    np.testing.assert_allclose(box, other_box, atol=1)
    assert all((faces.scores > 0.5).sum() == 1 for faces in found)


def test_neither_torch_nor_detectron2_is_needed(folder, tmp_path):
    code = f"""
import sys
for name in ("torch", "torchvision", "detectron2", "fvcore", "iopath"):
    sys.modules[name] = None
from df2s2_d2 import Faces, OnnxPredictor
results = list(OnnxPredictor({str(folder / "faces.onnx")!r}).search({str(folder / "photos")!r}))
faces = results[0].faces
faces.draw(results[0].image), faces.crops(results[0].path), faces.to_json()
print(isinstance(faces, Faces), len(results))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "True 5\n", done.stderr


def test_models_that_are_absent_or_of_another_kind_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="absent.onnx does not exist: give an exported file"
    ):
        OnnxPredictor("absent.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ValueError, match="text.onnx is no file of `df2s2 export`"):
        OnnxPredictor(tmp_path / "text.onnx")
    with pytest.raises(ValueError, match="image_format: expected BGR or RGB"):
        OnnxPredictor("faces-small", image_format="bgr")


def test_without_onnxruntime_its_extra_is_named(monkeypatch):
    without(monkeypatch, "onnxruntime")
    from df2s2_d2 import OnnxPredictor

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'df2s2_d2\[export\]'"):
        OnnxPredictor("faces-small")
