"""Files of 8-bit integers find the faces that the detector finds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from df2s2_d2.cli.program import main
from df2s2_d2.inference.export import (
    calibration_images,
    difference,
    export_detector,
    format_of,
    load_exportable,
)
from df2s2_d2.inference.export.parity import QUANTIZED
from df2s2_d2.inference.export.quantization import MOST_PHOTOGRAPHS
from df2s2_d2.inference.runtimes import ENGINES, open_engine
from df2s2_d2.modeling.postprocessing import Detections
from tests.tiny_detectors import tiny_config

PHOTOGRAPHS = Path(__file__).resolve().parents[3] / "docs/photographs"
SMALL = ["TEST.AUG.ENABLED", False, "INPUT.MIN_SIZE_TEST", 224]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """The shipped detector in single precision and in integers, for small photographs."""
    folder = tmp_path_factory.mktemp("quantized")
    detector, cfg = load_exportable("faces-small", None, SMALL)
    files = {name: folder / f"{name}.onnx" for name in ("exact", "integers")}
    export_detector(detector, cfg, files["exact"], "small")
    images = calibration_images([str(PHOTOGRAPHS)], cfg)
    export_detector(detector, cfg, files["integers"], "small", format="onnx-int8", images=images)
    return files


def find(path: Path, runtime: str, image: np.ndarray) -> Detections:
    return Detections(*map(torch.from_numpy, open_engine(runtime, str(path)).run(image)))


@pytest.mark.parametrize("runtime", ENGINES)
def test_faces_are_found_by_integers_too(runtime, files):
    for image in calibration_images(
        [str(PHOTOGRAPHS)], tiny_config("DF2S2/small/faces_small.yaml", *SMALL)
    ):
        expected, found = (find(files[name], runtime, image) for name in ("exact", "integers"))
        result = difference(expected, found, QUANTIZED.min_score, QUANTIZED.min_iou)
        assert result.pairs == 1 and QUANTIZED.allows(result)


def test_a_quantised_file_is_small_standard_and_says_the_same_of_itself(files):
    exact, integers = (onnx.load(path) for path in files.values())
    assert files["integers"].stat().st_size < 0.4 * files["exact"].stat().st_size
    assert {opset.domain for opset in integers.opset_import} == {""}
    assert list(integers.metadata_props) == list(exact.metadata_props)
    read = {name for node in integers.graph.node for name in node.input}
    assert all(tensor.name in read for tensor in integers.graph.initializer)
    producers = {name: node.op_type for node in integers.graph.node for name in node.output}
    convolutions = [node for node in integers.graph.node if node.op_type == "Conv"]
    kinds = Counter(producers.get(node.input[1]) for node in convolutions)
    # The logits and box codes of the four levels are left as they are.
    assert kinds == {"DequantizeLinear": len(convolutions) - 8, None: 8}


def test_calibration_looks_at_photographs_as_the_detector_does(tmp_path):
    for number in range(MOST_PHOTOGRAPHS + 5):
        Image.new("RGB", (60, 40), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    scales = [{"SHORT_SIDE": 32}, {"FACTOR": 2.0}, {"FACTOR": 30.0}]
    cfg = tiny_config(
        "DSFD/DSFD_R50.yaml",
        *("INPUT.FORMAT", "BGR", "TEST.AUG.ENABLED", True, "TEST.AUG.SCALES", scales),
        *("TEST.AUG.TILE_OVERLAP", 32, "TEST.AUG.MAX_PIXELS", 290 * 290),
    )
    images = list(calibration_images([str(tmp_path)], cfg))
    assert [image.shape for image in images[:2]] == [(1, 3, 32, 48), (1, 3, 80, 120)]
    assert len(images) == 2 * MOST_PHOTOGRAPHS  # a copy that is too large is left out
    reds = [int(image[0, 2, 0, 0]) for image in images[::2]]
    assert reds[0] == 0 and reds[-1] == MOST_PHOTOGRAPHS + 4 and reds == sorted(reds)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/clip.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="clips: there are no images to calibrate by"):
        list(calibration_images([str(tmp_path / "clips")], cfg))


def test_formats_are_chosen_by_name_and_suffix():
    assert [format_of(Path(f"a{x}")) for x in (".onnx", ".xml", ".pt")] == [
        "onnx",
        "openvino",
        "torchscript",
    ]
    assert format_of(Path("a.xml"), "openvino-int8") == "openvino-int8"
    with pytest.raises(ValueError, match=r"a\.pt: the file has to be called \*\.onnx$"):
        format_of(Path("a.pt"), "onnx-int8")
    with pytest.raises(ValueError, match="expected onnx, onnx-int8, .* found 'int4'"):
        format_of(Path("a.onnx"), "int4")


def test_photographs_are_asked_for_where_they_are_needed(tmp_path, capsys):
    command = ["export", "--weights", "faces-small", "--output", str(tmp_path / "f.onnx")]
    for options, message in (
        (["--format", "onnx-int8"], "--format onnx-int8 needs --calibrate"),
        (["--calibrate", str(PHOTOGRAPHS)], "--calibrate is for the formats with int8"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([*command, *options])
        assert stop.value.code == 2 and message in capsys.readouterr().err
    absent = ["--format", "onnx-int8", "--calibrate", str(tmp_path / "absent")]
    assert main([*command, *absent]) == 1
    assert "absent" in capsys.readouterr().err and not list(tmp_path.iterdir())
