"""Exported files find what the detector finds, and hold nothing but what that needs."""

from __future__ import annotations

import copy
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import onnx
import onnxruntime
import pytest
import torch
import yaml
from detectron2.modeling import build_model
from torch import Tensor, nn

from benchmarks.models import random_images, retinanet_config
from df2s2_d2.data.image_reading import read_image
from df2s2_d2.inference.export import ExportedDetector, difference, export_detector
from df2s2_d2.inference.fast_path import optimize
from df2s2_d2.modeling import FaceDetector
from df2s2_d2.modeling.backbone.vgg import L2Norm
from df2s2_d2.modeling.postprocessing import Detections
from tests.tiny_detectors import calibrate, set_clear_threshold, tiny_config, tiny_detector

FORMATS = (".onnx", ".torchscript")

_NARROW_LEVELS = ["MODEL.BOTTOM_UP.CONV_LEVELS", [[8, 16], [8, 16]]]
FAMILIES = {
    "DF2S2 R50": ["DF2S2/DF2S2_R50.yaml"],
    "DF2S2 R18, norms everywhere": [
        "DF2S2/small/demo_R18.yaml",
        *("MODEL.RESNETS.RES2_OUT_CHANNELS", 64, "MODEL.SHOT.HEAD.CONV_DIM", 64),
        *("MODEL.FFP.NORM", "BN", "MODEL.FFP.OUT_CHANNELS", 32),
    ],
    "RetinaNet": ["DF2S2/ablations/RetinaNet_R50.yaml"],
    "DSFD R50": ["DSFD/DSFD_R50.yaml", *_NARROW_LEVELS],
    "DSFD VGG16": ["DSFD/DSFD_VGG16.yaml", "MODEL.VGG.WIDTH", 6, *_NARROW_LEVELS],
    "DSFD SE-R18": ["DSFD/DSFD_SE-R101.yaml", "MODEL.TIMM.NAME", "seresnet18", *_NARROW_LEVELS],
}

# Number and size of images; they are traced in none of these.
BATCHES = [(1, (128, 128)), (3, (333, 77)), (2, (200, 301)), (1, (1, 1))]


class Exported(NamedTuple):
    detector: FaceDetector
    paths: dict[str, Path]


def export(detector: FaceDetector, path: Path, *config) -> ExportedDetector:
    export_detector(detector, tiny_config(*config), path, "tiny")
    return ExportedDetector(path)


@torch.no_grad()
def detect(detector: FaceDetector, images: Tensor) -> Detections:
    found = [x["instances"] for x in detector([{"image": image} for image in images])]
    return Detections(
        torch.cat([x.pred_boxes.tensor for x in found]),
        torch.cat([x.scores for x in found]),
        torch.cat([torch.full_like(x.pred_classes, index) for index, x in enumerate(found)]),
    )


def photographs(count: int, size: tuple[int, int], seed: int = 1) -> Tensor:
    return torch.stack(random_images(count, size, seed))


def calibrated_detector(*config) -> FaceDetector:
    detector = tiny_detector(*config)
    calibrate(detector, random_images(2, (256, 256)))
    set_clear_threshold(detector, [photographs(*batch) for batch in BATCHES])
    return detector


@pytest.fixture(scope="module", params=FAMILIES.values(), ids=FAMILIES)
def family(request, tmp_path_factory) -> Exported:
    """A detector of each family of configs, and its files."""
    detector = calibrated_detector(*request.param)
    folder = tmp_path_factory.mktemp("exported")
    paths = {suffix: folder / f"faces{suffix}" for suffix in FORMATS}
    for path in paths.values():
        export(detector, path)
    return Exported(detector, paths)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return calibrated_detector()


@pytest.fixture(scope="module", params=FORMATS)
def path(request, detector, tmp_path_factory) -> Path:
    """A file of ``detector``."""
    path = tmp_path_factory.mktemp("exported") / f"faces{request.param}"
    export(detector, path)
    return path


@pytest.fixture(scope="module")
def exported(path) -> ExportedDetector:
    return ExportedDetector(path)


def layers(detector: FaceDetector, *kinds: type) -> list[nn.Module]:
    """Layers of some kinds that inference needs."""
    modules = [*detector.backbone.modules(), *detector.shot.head.modules()]
    unneeded = set(detector.shot.head.mask_logits.modules()) if has_masks(detector) else set()
    return [m for m in modules if isinstance(m, kinds) and m not in unneeded]


def num_weights(detector: FaceDetector, *kinds: type) -> int:
    """Weights and biases of such layers; a norm that is folded leaves a bias behind."""
    return sum(layer.weight.numel() + _num_biases(layer) for layer in layers(detector, *kinds))


def _num_biases(layer: nn.Module) -> int:
    if isinstance(layer, L2Norm) or isinstance(getattr(layer, "norm", None), nn.GroupNorm):
        return 0
    return layer.num_channels if isinstance(layer, nn.GroupNorm) else layer.out_channels


def has_masks(detector: FaceDetector) -> bool:
    return detector.shot.head.mask_logits is not None


def count_calls(detector: FaceDetector, *kinds: type) -> int:
    """How many layers of some kinds one inference runs."""
    calls = []
    hooks = [
        layer.register_forward_hook(lambda *_: calls.append(1))
        for layer in layers(detector, *kinds)
    ]
    detect(detector, photographs(1, (64, 64)))
    for hook in hooks:
        hook.remove()
    return len(calls)


def graph_nodes(block) -> list:
    """All nodes of a TorchScript graph, those of loops too."""
    return [
        inner
        for node in block.nodes()
        for inner in [node, *(x for child in node.blocks() for x in graph_nodes(child))]
    ]


@pytest.mark.parametrize("suffix", FORMATS)
def test_finds_what_the_detector_finds(family, suffix):
    run = ExportedDetector(family.paths[suffix])
    total = 0
    for count, size in BATCHES:
        images = photographs(count, size)
        found, expected = run(images), detect(family.detector, images)
        result = difference(found, expected)
        assert result.unmatched == 0
        assert result.min_iou > 0.999
        assert result.max_score_difference < 1e-4
        total += result.pairs
        assert found.boxes.dtype == found.scores.dtype == torch.float32
        assert found.image_index.dtype == torch.int64
        assert torch.equal(found.image_index, expected.image_index)
        torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)
        assert not any(x.requires_grad for x in found)
    assert total > 100


def test_onnx_file_holds_nothing_but_what_inference_needs(family):
    graph = onnx.load(family.paths[".onnx"]).graph
    detector, operators = family.detector, Counter(node.op_type for node in graph.node)
    used = {name for node in graph.node for name in node.input}
    assert all(tensor.name in used for tensor in graph.initializer)
    assert not {"BatchNormalization", "Dropout"} & operators.keys()
    assert operators["Conv"] == count_calls(detector, nn.Conv2d) > 0
    assert operators["ConvTranspose"] == count_calls(detector, nn.ConvTranspose2d)

    sizes = {tensor.name: torch.tensor(tensor.dims).prod().item() for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    weights = {name for node in convolutions for name in node.input[1:]}
    expected = num_weights(detector, nn.Conv2d, nn.ConvTranspose2d)
    assert sum(sizes[name] for name in weights) == expected
    # Beside them there are norms that depend on the image, anchors and the like.
    others = sum(size for name, size in sizes.items() if name not in weights)
    assert others < num_weights(detector, L2Norm, nn.GroupNorm) + 300


def test_torchscript_file_holds_nothing_but_what_inference_needs(family):
    module = torch.jit.load(str(family.paths[".torchscript"]))
    detector = family.detector
    expected = num_weights(detector, nn.Conv2d, nn.ConvTranspose2d, L2Norm, nn.GroupNorm)
    assert sum(x.numel() for x in module.parameters()) == expected
    assert sum(x.numel() for x in module.buffers()) < 300  # anchors, no statistics of norms
    kinds = Counter(node.kind() for node in graph_nodes(module.inlined_graph))
    calls = count_calls(detector, nn.Conv2d, nn.ConvTranspose2d)
    assert kinds["aten::_convolution"] == calls
    assert "aten::batch_norm" not in kinds


def test_maps_that_only_the_first_shot_reads_are_not_made(tmp_path):
    export(tiny_detector("DF2S2/DF2S2_R50_PAL.yaml"), tmp_path / "faces.onnx")
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "faces.onnx").graph.node)
    assert operators["MaxPool"] == 3  # of the stem, and of the neck for p6 and p7; not c6 and c7


def test_images_of_a_batch_do_not_meet(exported):
    first, second = photographs(2, (150, 170))
    batch = exported(torch.stack([first, second, first]))
    for index, image in enumerate([first, second, first]):
        alone, in_batch = exported(image[None]), batch.select(batch.image_index == index)
        torch.testing.assert_close(in_batch.boxes, alone.boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(in_batch.scores, alone.scores, rtol=0, atol=1e-5)
    assert (batch.image_index.diff() >= 0).all()
    descending = batch.scores.diff() <= 0
    assert (descending | (batch.image_index.diff() > 0)).all()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "limits",
    [
        {"num_candidates": 20},
        {"max_detections": 7},
        {"nms_threshold": 0.1, "round_boxes_outward": True},
    ],
)
def test_limits_of_the_detector_apply(suffix, limits, detector, tmp_path):
    detector = copy.deepcopy(detector)
    images = photographs(*BATCHES[2])
    before = detect(detector, images)
    for name, value in limits.items():
        assert hasattr(detector, name)
        setattr(detector, name, value)
    expected = detect(detector, images)
    assert 0 < len(expected.scores) < len(before.scores)
    result = difference(export(detector, tmp_path / f"faces{suffix}")(images), expected)
    assert result.unmatched == 0 and result.min_iou > 0.999


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_image_without_faces_has_no_boxes(suffix, detector, tmp_path):
    detector = copy.deepcopy(detector)
    detector.score_threshold = 1.0
    found = export(detector, tmp_path / f"faces{suffix}")(photographs(2, (100, 130)))
    assert [tuple(x.shape) for x in found] == [(0, 4), (0,), (0,)]


def test_boxes_that_end_outside_the_image_are_clipped(exported):
    boxes = exported(photographs(2, (200, 301))).boxes
    assert (boxes >= 0).all() and (boxes <= torch.tensor([301, 200, 301, 200])).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes[:, 2] == 301).any() and (boxes[:, 3] == 200).any()


@pytest.mark.parametrize("path", FORMATS[1:], indirect=True)
def test_torchscript_takes_other_types_and_runs_on_any_device(path):
    module = torch.jit.load(str(path))
    images = photographs(1, (128, 128))
    for found, expected in zip(module(images.float()), module(images), strict=True):
        assert torch.equal(found, expected)

    constants = [
        node
        for node in graph_nodes(module.inlined_graph)
        if node.kind() == "prim::Constant" and str(node.output().type()) == "Device"
    ]
    users = {use.user for node in constants for use in node.output().uses()}
    # What is made on the device of the export goes on to that of the weights at once.
    assert {user.kind() for user in users} <= {"aten::arange"}
    followers = {use.user.kind() for user in users for use in user.output().uses()}
    assert followers == {"aten::to"}


@pytest.mark.parametrize("path", FORMATS[:1], indirect=True)
def test_onnx_file_says_what_it_takes_and_gives(path):
    session = onnxruntime.InferenceSession(path)
    (images,) = session.get_inputs()
    assert (images.name, images.shape) == ("images", ["N", 3, "H", "W"])
    assert images.type == "tensor(uint8)"
    assert [(x.name, x.shape) for x in session.get_outputs()] == [
        ("boxes", ["D", 4]),
        ("scores", ["D"]),
        ("image_index", ["D"]),
    ]
    onnx.checker.check_model(path, full_check=True)
    domains = {opset.domain for opset in onnx.load(path).opset_import}
    assert domains == {""}  # no operators but ONNX's own


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_say_how_they_are_to_be_fed(suffix, detector, tmp_path):
    config = ["DSFD/DSFD_R50.yaml", "INPUT.FORMAT", "BGR", "INPUT.MAX_SIZE_TEST", 1500]
    metadata = dict(export(detector, tmp_path / f"faces{suffix}", *config).metadata)
    carried = yaml.safe_load(metadata.pop("config"))
    assert (carried["INPUT"]["FORMAT"], carried["MODEL"]["WEIGHTS"]) == ("BGR", "")
    assert metadata == {
        "name": "tiny",
        "channel_order": "BGR",
        "min_size_test": "0",
        "max_size_test": "1500",
        "max_pixels": "4000000",
        "class_names": "face",
        "score_threshold": "0.01",
        "nms_threshold": "0.3",
        "num_candidates": "5000",
        "max_detections": "750",
        "boxes_rounded_outward": "True",
    }


def test_a_file_of_openvino_finds_what_the_detector_finds(detector, tmp_path):
    exported = export(detector, tmp_path / "faces.xml")
    assert {path.name for path in tmp_path.iterdir()} == {"faces.xml", "faces.bin"}
    assert exported.metadata["num_candidates"] == "5000"
    total = 0
    for count, size in (batch for batch in BATCHES if min(batch[1]) >= 128):
        images = photographs(count, size)
        result = difference(exported(images), detect(detector, images))
        assert result.unmatched == 0
        assert result.min_iou > 0.999 and result.max_score_difference < 1e-4
        total += result.pairs
    assert total > 100


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_detector_stays_as_it_is_and_the_screen_clean(suffix, tmp_path, capfd):
    # All kinds of layers: group norms in the head, two shots.
    config = ["MODEL.SHOT.HEAD.CONV_DIM", 64]
    config += ["MODEL.SHOT.HEAD.NORM", "GN"]
    detector = tiny_detector("DF2S2/DF2S2_R50_PAL.yaml", *config).train()
    before = {name: x.clone() for name, x in detector.state_dict().items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        export(detector, tmp_path / "new folder" / f"faces{suffix}")
    assert [str(warning.message) for warning in caught] == []
    assert capfd.readouterr() == ("", "")
    assert detector.training and detector.first_shot is not None and has_masks(detector)
    after = detector.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_an_optimized_detector_is_refused(detector, tmp_path):
    with pytest.raises(ValueError, match="export the one that it was made of"):
        export(optimize(detector), tmp_path / "faces.onnx")


def test_errors_say_what_to_do(tmp_path, monkeypatch, detector):
    with pytest.raises(
        ValueError, match=r"faces\.trt: the file has to be called \*\.onnx, \*\.xml, "
    ):
        export_detector(detector, tiny_config(), tmp_path / "faces.trt", "tiny")
    retinanet = build_model(retinanet_config(tiny_config()))
    for suffix in (*FORMATS, ".xml"):
        with pytest.raises(ValueError, match="RetinaNet cannot be exported: .* FaceDetector"):
            export_detector(retinanet, tiny_config(), tmp_path / f"faces{suffix}", "tiny")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'df2s2_d2\[export\]'"):
        export_detector(detector, tiny_config(), tmp_path / "faces.onnx", "tiny")
    assert not list(tmp_path.iterdir())


@pytest.mark.real_data
def test_finds_the_same_in_photographs(shared_data, tmp_path):
    files = sorted((shared_data / "mini/wider_face").rglob("*.jpg"))[::80][:20]
    images = [
        torch.from_numpy(read_image(str(file), "RGB").transpose(2, 0, 1).copy())[None]
        for file in files
    ]
    assert len(images) == 20
    # Bounded attention keeps the scores of photographs from all becoming 1.
    detector = tiny_detector("DF2S2/DF2S2_R50.yaml", "MODEL.FFP.ACTIVATION", "sigmoid")
    calibrate(detector, [image[0, :, :224, :224] for image in images])
    set_clear_threshold(detector, images)
    expected = [detect(detector, image) for image in images]
    assert sum(len(x.scores) for x in expected) > 500
    for suffix in FORMATS:
        exported = export(detector, tmp_path / f"faces{suffix}")
        for image, found in zip(images, expected, strict=True):
            result = difference(exported(image), found)
            assert result.unmatched == 0
            assert result.min_iou > 0.999
            assert result.max_score_difference < 1e-3
