"""ONNX Runtime and OpenVINO beside PyTorch, behind the same Predictor."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from detectron2.structures import Instances
from PIL import Image

from benchmarks.models import random_images
from df2s2_d2 import OnnxPredictor, Predictor
from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, CarriedConfig, config_of
from df2s2_d2.inference.detector_options import RUNTIMES as OPTIONS
from df2s2_d2.inference.export import difference, export_detector
from df2s2_d2.inference.export.openvino import save_for_openvino
from df2s2_d2.inference.runtimes import ENGINES, Engine, open_engine
from df2s2_d2.inference.runtimes.choice import RUNTIMES, choose_runtime
from df2s2_d2.inference.runtimes.engine_detector import EngineDetector
from df2s2_d2.modeling.postprocessing import Detections
from tests.test_missing_packages import without
from tests.tiny_detectors import calibrate, tiny_config, tiny_detector

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "df2s2_d2/models/faces-small.onnx"
# Two sizes of an image, and tiles.
CONFIG = ["DF2S2/small/demo_R18.yaml", "TEST.AUG.ENABLED", True, "TEST.AUG.TILE_OVERLAP", 32]
CONFIG += ["MODEL.RESNETS.RES2_OUT_CHANNELS", 64, "MODEL.SHOT.HEAD.CONV_DIM", 64]
CONFIG += ["TEST.AUG.MERGE", "nms"]
CONFIG += ["TEST.AUG.SCALES", [{"FACTOR": 1.0}, {"SHORT_SIDE": 150, "FLIP": True}]]
CONFIG += ["TEST.AUG.MAX_PIXELS", 290 * 290]
SCORE = "MODEL.FACE_DETECTOR.SCORE_THRESH_TEST"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One detector as a checkpoint, as files for both engines, and images of three sizes."""
    folder = tmp_path_factory.mktemp("runtimes")
    detector = tiny_detector(*CONFIG)
    calibrate(detector, random_images(2, (256, 256)), num_candidates=300)
    cfg = tiny_config(*CONFIG)
    cfg.MODEL.FACE_DETECTOR.SCORE_THRESH_TEST = detector.score_threshold
    content = {"model": detector.state_dict(), CONFIG_KEY: CarriedConfig(cfg).state_dict()}
    torch.save(content, folder / "faces.pth")
    export_detector(detector, cfg, folder / "faces.onnx", "tiny")
    save_for_openvino(folder / "faces.onnx", folder / "faces.xml")
    for number, size in enumerate([(128, 160), (160, 130), (128, 160), (160, 576)]):
        (image,) = random_images(1, size, seed=number)
        Image.fromarray(np.asarray(image.permute(1, 2, 0))).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def images(folder) -> list[Path]:
    return sorted(folder.glob("*.png"))


def as_detections(found: list[Instances]) -> Detections:
    index = [torch.full((len(x),), number) for number, x in enumerate(found)]
    boxes = [x.pred_boxes.tensor for x in found]
    return Detections(torch.cat(boxes), torch.cat([x.scores for x in found]), torch.cat(index))


def assert_same(found: list[Instances], expected: list[Instances]) -> None:
    assert [x.image_size for x in found] == [x.image_size for x in expected]
    result = difference(as_detections(found), as_detections(expected))
    assert result.pairs > 50 and result.unmatched <= 2  # ties of NMS
    assert result.min_iou > 0.999 and result.max_score_difference < 1e-3
    for one in found:
        assert (one.scores.diff() <= 0).all() and (one.pred_classes == 0).all()


@pytest.mark.parametrize("runtime", ENGINES)
def test_a_checkpoint_finds_the_same_by_every_engine(runtime, folder, images):
    """In sizes and their mirror images, in tiles, with boxes of whole pixels, and with overrides
    that a file could not follow.
    """
    overrides = ["MODEL.FACE_DETECTOR.ROUND_OUTWARD", True, "TEST.DETECTIONS_PER_IMAGE", 60]
    predictor = Predictor(folder / "faces.pth", overrides=overrides, runtime=runtime)
    assert predictor.runtime == runtime
    found = predictor(images)
    assert max(map(len, found)) == 60
    assert_same(
        found, Predictor(folder / "faces.pth", overrides=overrides, runtime="torch")(images)
    )
    boxes = as_detections(found).boxes
    assert torch.equal(boxes, boxes.round())


@pytest.mark.parametrize(("suffix", "runtime"), [(".onnx", "onnx"), (".xml", "openvino")])
def test_an_exported_file_is_run_in_one_size_as_the_checkpoint_is(suffix, runtime, folder, images):
    overrides = ["TEST.AUG.ENABLED", False]
    predictor = Predictor(str(folder / f"faces{suffix}"), overrides=overrides, batch_size=3)
    assert predictor.runtime == runtime
    by_torch = Predictor(folder / "faces.pth", overrides=overrides, runtime="torch")
    # The first and the third are one batch; the last is looked at in tiles.
    assert_same(predictor(images), by_torch(images))


def test_openvino_runs_files_of_onnx_and_a_file_carries_its_config(folder, images):
    path = str(folder / "faces.onnx")
    predictor = Predictor(path, runtime="openvino")
    assert predictor.cfg.TEST.AUG.ENABLED and predictor.choice.max_pixels == 290 * 290
    assert_same(predictor(images[:2]), Predictor(path)(images[:2]))
    carried, original = config_of(path), config_of(str(folder / "faces.pth"))
    assert carried.MODEL.WEIGHTS == path
    assert (carried.MODEL.SHOT.ANCHORS, carried.TEST) == (
        original.MODEL.SHOT.ANCHORS,
        original.TEST,
    )


@pytest.mark.parametrize("runtime", ENGINES)
def test_overrides_of_a_file_are_followed_or_refused(runtime, folder, images):
    file, images = folder / "faces.onnx", images[:1]
    with pytest.raises(ValueError, match=r"faces\.onnx cannot do .*DETECTIONS_PER_IMAGE 750 -> 9"):
        Predictor(file, overrides=["TEST.DETECTIONS_PER_IMAGE", 9], runtime=runtime)
    lowest = config_of(str(file)).MODEL.FACE_DETECTOR.SCORE_THRESH_TEST
    with pytest.raises(ValueError, match=f"{SCORE} .* -> {lowest / 2}: export the detector with"):
        Predictor(file, overrides=[SCORE, lowest / 2], runtime=runtime)
    # Higher ones are left out of what the file gives.
    (every,) = Predictor(file, runtime=runtime).find(images)
    middle = float(every.scores[len(every) // 2])
    (some,) = Predictor(file, overrides=[SCORE, middle], runtime=runtime).find(images)
    assert 0 < len(some) == (every.scores > middle).sum() < len(every)


def test_an_engine_serves_several_threads_at_once(folder):
    batch = np.stack([np.asarray(x) for x in random_images(2, (160, 130))])
    for runtime in ENGINES:
        engine = open_engine(runtime, str(folder / "faces.onnx"), threads=1)
        alone = [engine.run(batch[i : i + 1]) for i in range(2)]
        found: dict[int, list] = {}

        def work(index: int, run=engine.run, found=found) -> None:
            found[index] = [run(batch[index : index + 1]) for _ in range(4)]

        threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for index in range(2):
            for outputs in found[index]:
                for output, other in zip(outputs, alone[index], strict=True):
                    np.testing.assert_allclose(output, other, rtol=1e-5, atol=1e-3)


def config(*overrides, weights: str = "faces-small"):
    cfg = config_of("faces-small")
    cfg.merge_from_list(["MODEL.WEIGHTS", weights, *overrides])
    return cfg


def test_auto_is_onnx_runtime_where_it_finds_the_same(monkeypatch, folder):
    assert choose_runtime("auto", config(), "fp32") == "onnx"
    # What a Predictor does around the network, and scores that are left out, change nothing.
    assert choose_runtime("auto", config("TEST.AUG.ENABLED", False, SCORE, 0.3), "fp32") == "onnx"
    for other in (
        config(SCORE, 0.001),
        config("MODEL.FACE_DETECTOR.NMS_THRESH_TEST", 0.5),
        config("TEST.DETECTIONS_PER_IMAGE", 5000),
        config("MODEL.DEVICE", "cuda"),
        config(weights=str(ROOT / "df2s2_d2/models/faces-small.safetensors")),
    ):
        assert choose_runtime("auto", other, "fp32") == "torch"
    assert choose_runtime("auto", config(), "bf16") == "torch"
    assert choose_runtime("auto", config(weights="faces.xml"), "fp32") == "openvino"
    monkeypatch.setattr("df2s2_d2.inference.runtimes.choice.find_spec", lambda name: None)
    assert choose_runtime("auto", config(), "fp32") == "torch"
    assert choose_runtime("onnx", config(), "fp32") == "onnx"  # to be told what is missing


def test_the_shipped_model_finds_the_same_faces_by_all_of_them():
    photograph = ROOT / "docs/photographs/astronaut.jpg"
    overrides = ["TEST.AUG.SCALES", [{"SHORT_SIDE": 192}, {"SHORT_SIDE": 256}]]
    found = {
        runtime: Predictor("faces-small", overrides=overrides, runtime=runtime).find(photograph)
        for runtime in ("auto", "torch", "openvino")
    }
    expected = found["torch"][found["torch"].scores > 0.3]
    assert (expected.scores > 0.5).sum() == 1
    for faces in found.values():
        faces = faces[faces.scores > 0.3]
        np.testing.assert_allclose(faces.scores, expected.scores, atol=0.005)
        np.testing.assert_allclose(faces.xyxy, expected.xyxy, atol=0.5)


def test_images_too_small_for_openvino_are_refused(folder):
    """It would give what it gave for an image before."""
    file = str(folder / "faces.onnx")
    by_onnx, by_openvino = (open_engine(runtime, file, threads=1) for runtime in ENGINES)
    small = np.zeros((1, 3, 127, 160), np.uint8)
    with pytest.raises(ValueError, match="from 128 x 128 pixels, found 160 x 127: .*'onnx'"):
        by_openvino.run(small)
    assert len(by_onnx.run(small)) == 3
    images = np.stack([np.asarray(x) for x in random_images(1, (128, 128))])
    for found, expected in zip(by_openvino.run(images), by_onnx.run(images), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


def test_bfloat16_is_openvino_s_and_near():
    path = str(SHIPPED)
    pixels = np.asarray(Image.open(ROOT / "docs/photographs/astronaut.jpg").resize((320, 320)))
    images = np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
    exact = open_engine("openvino", path)
    rounded = open_engine("openvino", path, precision="bf16")
    assert (exact.precision, rounded.precision) == ("fp32", "bf16")
    assert open_engine("openvino", path, precision="auto").precision in ("fp32", "bf16")
    (boxes, scores, _), (other_boxes, other_scores, _) = exact.run(images), rounded.run(images)
    assert scores[0] > 0.9 and scores[0] == pytest.approx(other_scores[0], abs=0.05)
    np.testing.assert_allclose(boxes[0], other_boxes[0], atol=3)


def test_wrong_choices_are_told(folder, tmp_path, monkeypatch):
    assert OPTIONS == RUNTIMES  # named twice, as these take long to load
    path = str(folder / "faces.onnx")
    with pytest.raises(
        ValueError, match="runtime: expected auto, torch, onnx, openvino; found 'v'"
    ):
        Predictor("faces-small", runtime="v")
    with pytest.raises(
        ValueError, match=r"faces\.onnx is an exported file, which PyTorch does not"
    ):
        Predictor(path, runtime="torch")
    with pytest.raises(ValueError, match=r"faces\.xml is a file of OpenVINO"):
        Predictor(str(folder / "faces.xml"), runtime="onnx")
    with pytest.raises(ValueError, match="ONNX Runtime computes in fp32 here, found 'bf16'"):
        Predictor("faces-small", runtime="onnx", precision="bf16")
    with pytest.raises(
        ValueError, match="OpenVINO computes in auto, fp32 or bf16 here, found 'fp1"
    ):
        Predictor("faces-small", runtime="openvino", precision="fp16")
    bare = onnx.load(SHIPPED)
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    with pytest.raises(ValueError, match=r"bare\.onnx carries no config: .*OnnxPredictor"):
        Predictor(tmp_path / "bare.onnx")
    for name in ("text.onnx", "text.xml"):
        (tmp_path / name).write_text("no model")
        runtime = "openvino" if name.endswith("xml") else "onnx"
        with pytest.raises(ValueError, match=f"{name} is no file of `df2s2 export`") as caught:
            OnnxPredictor(tmp_path / name, runtime=runtime)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(
        ValueError, match=r"README\.md is no file of `df2s2 export`.*\.onnx or .*xml"
    ):
        OnnxPredictor(ROOT / "README.md")
    without(monkeypatch, "openvino")
    from df2s2_d2 import OnnxPredictor as Anew

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'df2s2_d2\[openvino\]'"):
        Anew("faces-small", runtime="openvino")
    without(monkeypatch, "onnxruntime")
    from df2s2_d2.inference.runtimes import exported_metadata

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'df2s2_d2\[export\]'"):
        exported_metadata(path)


def test_what_is_not_finite_is_no_image_without_faces(tmp_path):
    outputs = [np.array([[0, 0, 5, np.nan]], np.float32), np.ones(1, np.float32), np.zeros(1, int)]
    model = EngineDetector(
        Engine(lambda images: outputs, {}, "fp32"),
        score_threshold=0.1,
        max_detections=5,
        round_boxes_outward=False,
    )
    with pytest.raises(FloatingPointError, match="boxes or scores that are not finite"):
        model([{"image": torch.zeros(3, 8, 8, dtype=torch.uint8)}])

    detector, cfg = tiny_detector(), tiny_config()
    detector.shot.head.face_logits.bias.data[0] = torch.nan
    content = {"model": detector.state_dict(), CONFIG_KEY: CarriedConfig(cfg).state_dict()}
    torch.save(content, tmp_path / "diverged.pth")
    with pytest.raises(ValueError, match=r"diverged\.pth are not finite \(.*face_logits\.bias\)"):
        Predictor(tmp_path / "diverged.pth", runtime="onnx")
