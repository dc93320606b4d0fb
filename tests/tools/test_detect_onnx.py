"""The script that shows the use of an ONNX file needs neither torch nor detectron2."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from detectron2.data.transforms import ResizeShortestEdge
from PIL import Image

from benchmarks.models import random_images
from df2s2_d2.inference import detect_onnx
from df2s2_d2.inference.export import export_detector
from tests.tiny_detectors import calibrate, tiny_config, tiny_detector

SCRIPT = Path(__file__).resolve().parents[2] / "df2s2_d2/inference/detect_onnx.py"
CONFIG = ["DF2S2/DF2S2_R50.yaml", "INPUT.FORMAT", "BGR"]
CONFIG += ["INPUT.MIN_SIZE_TEST", 150, "INPUT.MAX_SIZE_TEST", 220]
HEAVY = ("torch", "torchvision", "detectron2", "df2s2_d2", "cv2")


@pytest.fixture(scope="module")
def detector():
    detector = tiny_detector(*CONFIG)
    calibrate(detector, random_images(2, (256, 256)))
    return detector


@pytest.fixture(scope="module")
def folder(detector, tmp_path_factory) -> Path:
    """Holds a model, an upright image, the same lying on its side, and the script alone."""
    folder = tmp_path_factory.mktemp("elsewhere")
    export_detector(detector, tiny_config(*CONFIG), folder / "faces.onnx", "tiny")
    (image,) = random_images(1, (120, 200), seed=1)
    upright = Image.fromarray(np.asarray(image.permute(1, 2, 0)))
    upright.save(folder / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "lying.png", exif=exif)
    shutil.copy(SCRIPT, folder)
    return folder


def run_script(folder: Path, *arguments) -> subprocess.CompletedProcess:
    """Run the copied script; what it imported is the last line of standard output."""
    code = (
        "import atexit, runpy, sys\n"
        f"atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]))\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "detect_onnx.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
    )


def test_prints_the_faces_that_the_detector_finds(folder, detector):
    run = run_script(
        folder, "faces.onnx", "upright.png", "lying.png", "--threshold", 0.1, "--output", "found"
    )
    assert run.returncode == 0, run.stderr
    *lines, imported = run.stdout.splitlines()
    assert imported == "[]"

    pixels = np.asarray(Image.open(folder / "upright.png"))[:, :, ::-1]
    resized = ResizeShortestEdge(150, 220).get_transform(pixels).apply_image(pixels)
    assert resized.shape[:2] == (132, 220)  # the limit of the long side decides
    image = torch.from_numpy(resized.transpose(2, 0, 1).copy())
    with torch.no_grad():
        found = detector([{"image": image, "height": 120, "width": 200}])[0]["instances"]
    found = found[found.scores > 0.1]
    expected = torch.cat([found.pred_boxes.tensor, found.scores[:, None]], dim=1)
    assert len(expected) > 5
    for name in ("upright.png", "lying.png"):
        rows = [line.split()[1:] for line in lines if line.startswith(name)]
        np.testing.assert_allclose(np.array(rows, float), expected, rtol=0, atol=0.06)

    drawn = np.asarray(Image.open(folder / "found/2_lying.png"))
    x1, y1, _, _ = (int(float(value)) for value in lines[0].split()[1:5])
    assert drawn.shape == (120, 200, 3)
    assert (drawn[y1 : y1 + 2, x1 : x1 + 2] == (0, 255, 0)).all(axis=2).any()


def test_a_file_that_is_no_image_stops_nothing(folder):
    (folder / "text.jpg").write_text("no image")
    run = run_script(folder, "faces.onnx", "text.jpg", "upright.png", "--threshold", 0.1)
    assert run.returncode == 1
    assert run.stderr.startswith("text.jpg: ") and len(run.stderr.splitlines()) == 1
    assert "upright.png" in run.stdout


def test_images_of_16_bits_look_as_those_of_8(folder):
    (image,) = random_images(1, (120, 200), seed=2)
    grey = np.asarray(image[0])
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(grey.astype(np.uint16) << 8 | 255).save(folder / "grey16.png")
    upright = [detect_onnx.read_upright(folder / name) for name in ("grey.png", "grey16.png")]
    assert [image.mode for image in upright] == ["RGB", "RGB"]
    np.testing.assert_array_equal(*upright)
    np.testing.assert_array_equal(np.asarray(upright[0])[..., 0], grey)


@pytest.mark.parametrize("size", [(8_000, 3), (1, 500_000)])
def test_strips_are_not_enlarged_beyond_memory(folder, size):
    file = detect_onnx.FaceDetector(str(folder / "faces.onnx"))
    file.max_size = 0  # no limit of the long side
    assert file.resized(size) == size
    assert file.resized((300, 200)) == (225, 150)


def test_an_image_that_is_too_much_for_the_runtime_is_named(folder):
    run, _ = detect_onnx.open_onnx(str(folder / "faces.onnx"))
    with pytest.raises(ValueError, match="cannot look at an image of 0 x 20 pixels"):
        run(np.zeros((1, 3, 20, 0), np.uint8))


def test_a_model_that_is_absent_or_of_another_kind_is_one_line(folder):
    (folder / "text.onnx").write_text("no model")
    for name in ("absent.onnx", "text.onnx"):
        run = run_script(folder, name, "upright.png")
        assert run.returncode == 1
        assert name in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("numbers", [(np.nan, 0.5), (9, np.inf)], ids=["box", "score"])
def test_what_is_not_finite_is_an_error_not_an_image_without_faces(tmp_path, numbers):
    side, score = numbers
    constants = {
        "boxes": np.array([[0, 0, 9, side]], np.float32),
        "scores": np.array([score], np.float32),
        "image_index": np.zeros(1, np.int64),
    }
    kinds = {name: onnx.helper.np_dtype_to_tensor_dtype(x.dtype) for name, x in constants.items()}
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value))
            for name, value in constants.items()
        ],
        "broken",
        [onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, [1, 3, None, None])],
        [onnx.helper.make_tensor_value_info(name, kinds[name], None) for name in constants],
    )
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    metadata = {"channel_order": "RGB", "min_size_test": "0", "max_size_test": "0"}
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, tmp_path / "broken.onnx")
    Image.new("RGB", (20, 20)).save(tmp_path / "image.png")
    detector = detect_onnx.FaceDetector(str(tmp_path / "broken.onnx"))
    with pytest.raises(ValueError, match="not finite: the model is broken"):
        detector(Image.open(tmp_path / "image.png"))
