"""Numbers at the ends of what half precision can hold, layer by layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec
from torch import nn

from df2s2_d2 import load_config
from df2s2_d2.inference.fast_path import optimize
from df2s2_d2.modeling import FaceDetector, HeadOutputs, Shot
from df2s2_d2.modeling.finite_maps import first_not_finite
from df2s2_d2.modeling.losses import FocalLoss, MinedSoftmaxLoss
from df2s2_d2.modeling.necks.fem import FUSIONS, Fusion
from df2s2_d2.modeling.necks.ffp import FBlock
from df2s2_d2.modeling.targets import GroundTruth
from tests.modeling import scenes

LARGEST = torch.finfo(torch.float16).max
LOGITS = [-LARGEST, -3e4, -90.0, -17.0, 0.0, 17.0, 90.0, 3e4, LARGEST]
IMAGE_SIZE = (128, 128)
FACES = [[20, 30, 60, 80], [70, 10, 76, 18]]
SHAPES = {f"p{level}": ShapeSpec(channels=8, stride=2**level) for level in range(2, 8)}
DF2S2, DSFD = "DF2S2/DF2S2_R50.yaml", "DSFD/DSFD_R50.yaml"


# Losses


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_and_its_gradient_are_finite_and_right_for_every_logit(positive, gamma):
    logits = torch.tensor([LOGITS], requires_grad=True)
    anchors = torch.ones(1, len(LOGITS), dtype=torch.bool)
    losses, _ = FocalLoss(0.25, gamma)(logits, anchors & positive, anchors)
    expected = []
    for logit in LOGITS:  # -log(1 - p) of the wrong class is near its logit where exp overflows
        wrong = -logit if positive else logit
        entropy = wrong if wrong > 30 else math.log1p(math.exp(wrong))
        probability = 1 / (1 + math.exp(-wrong)) if wrong > -700 else 0.0
        expected.append((0.25 if positive else 0.75) * probability**gamma * entropy)
    np.testing.assert_allclose(losses.detach()[0], expected, rtol=1e-5, atol=1e-30)
    losses.sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad * (-1 if positive else 1) >= 0).all()


def test_mined_softmax_loss_is_finite_for_every_logit():
    logits = torch.tensor([LOGITS], requires_grad=True)
    positive = torch.tensor([[True, False, False] * 3])
    losses, _ = MinedSoftmaxLoss(3.0, 5)(logits, positive, torch.ones_like(positive))
    wrong = np.where(positive[0], -np.array(LOGITS), LOGITS)
    np.testing.assert_allclose(losses.detach()[0], np.logaddexp(0, wrong), rtol=1e-6, atol=1e-30)
    losses.sum().backward()
    assert logits.grad.isfinite().all()


def outputs_of(value: float, dtype: torch.dtype) -> HeadOutputs:
    """Maps of one value in all channels, of alternating sign over the columns."""
    maps = []
    for channels in (6, 24, 1):
        maps.append([])
        for size in scenes.map_sizes(IMAGE_SIZE):
            signs = 1 - 2 * (torch.arange(size[1]) % 2)
            full = (value * signs).expand(1, channels, *size)
            maps[-1].append(full.to(dtype).clone().requires_grad_())
    return HeadOutputs(*maps)


@pytest.mark.parametrize("loss", ["focal", "mined_softmax"])
@pytest.mark.parametrize("value", [LARGEST, 7.5])
def test_losses_of_half_precision_maps_are_those_of_the_same_numbers_in_single(loss, value):
    keys = ["MODEL.SHOT.HEAD.CONV_DIM", 8, "MODEL.SHOT.LOSS.CLASSIFICATION", loss]
    shot = Shot(load_config(overrides=keys).MODEL.SHOT, SHAPES)
    truth = GroundTruth(*scenes.flat([FACES]), *scenes.flat([[]]), torch.tensor([IMAGE_SIZE]))
    half, single = outputs_of(value, torch.float16), outputs_of(value, torch.float32)
    with torch.autocast("cpu", torch.float16):
        losses = shot.losses(half, truth)
    expected = shot.losses(single, truth)
    for name, term in losses.items():
        assert term.dtype == torch.float32 and term.isfinite()
        assert term.item() == pytest.approx(expected[name].item(), rel=1e-5)
    assert losses["loss_mask"] > 0 < losses["loss_box_reg"]


# Gates: products of two maps


def gate(kind: str) -> tuple[nn.Module, list[torch.Tensor]]:
    """A gate and two maps of ones that make 300 times 300 of it."""
    module = FBlock(2, 2, 2, "", "") if kind == "F-block" else Fusion(2, 2, FUSIONS["product"])
    sizes = [(4, 4), (2, 2)] if kind == "F-block" else [(4, 4), (4, 4)]
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.constant_(parameter, 300.0)
    lower = 300.0 if kind == "F-block" else 1.0
    return module, [torch.full((1, 2, *sizes[0]), lower), torch.ones(1, 2, *sizes[1])]


@pytest.mark.parametrize("kind", ["F-block", "feature enhance module"])
def test_gates_that_exceed_half_precision_are_found_by_name(kind):
    module, maps = gate(kind)
    model = nn.ModuleDict({"gate": module})
    assert first_not_finite(model, lambda: module(*maps)) is None
    half = [x.half() for x in maps]
    model.half()
    assert first_not_finite(model, lambda: module(*half)) == ("gate", torch.float16)
    model.bfloat16()
    assert first_not_finite(model, lambda: module(*(x.bfloat16() for x in maps))) is None


@pytest.mark.parametrize(
    ("config", "name"),
    [(DF2S2, "backbone.neck.blocks.2"), (DSFD, "backbone.neck.fusions.4")],
)
def test_a_detector_whose_gates_exceed_half_precision_says_so(tiny_detector, config, name):
    detector = tiny_detector(config).eval()
    neck = detector.backbone.neck
    last = neck.blocks[2].upsample if config == DF2S2 else neck.fusions[4].upper
    nn.init.constant_(last.bias, -3e4)
    if config == DSFD:
        nn.init.constant_(neck.fusions[4].current.bias, -3e4)
    image = [{"image": torch.full((3, 128, 128), 255.0)}]
    with torch.inference_mode():
        optimize(detector, "bf16")(image)
        with pytest.raises(FloatingPointError, match=f"layer {name} exceeds 65504, where float16"):
            optimize(detector, "fp16")(image)


def test_hooks_are_gone_when_the_search_ends_by_an_error():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(RuntimeError):
        first_not_finite(model, lambda: model(torch.zeros(3)))
    assert not model[0]._forward_hooks


def test_a_weight_beyond_half_precision_is_named(tiny_detector):
    detector = tiny_detector(DF2S2)
    nn.init.constant_(detector.shot.head.box_deltas.bias, 1e5)
    optimize(detector, "bf16")
    with pytest.raises(
        ValueError, match="box_deltas.bias .* not finite in float16: choose another"
    ):
        optimize(detector, "fp16")


# Decoding


def candidates(logits: float, deltas: float, count: int = 100):
    keys = ["MODEL.SHOT.HEAD.CONV_DIM", 8]
    shot = Shot(load_config(overrides=keys).MODEL.SHOT, SHAPES)
    sizes = scenes.map_sizes(IMAGE_SIZE)
    outputs = HeadOutputs(
        [torch.zeros(1, 6, *size) for size in sizes],
        [torch.zeros(1, 24, *size) for size in sizes],
        None,
    )
    outputs.logits[0][0, 0, 1, 2] = logits
    outputs.deltas[0][0, :4, 1, 2] = deltas
    return shot.candidates(outputs, torch.tensor([IMAGE_SIZE]), count)


@pytest.mark.parametrize("delta", [LARGEST, -LARGEST])
def test_the_largest_codes_of_half_precision_are_decoded_to_finite_boxes(delta):
    (boxes,), (scores,) = candidates(LARGEST, delta)
    assert boxes.isfinite().all() and scores.isfinite().all()
    assert scores[0] == 1 and (scores.diff() <= 0).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_scores_of_logits_that_are_not_finite_stand_first(value):
    _, (scores,) = candidates(value, 0.0, count=5)
    assert scores.isnan().tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_boxes_of_codes_that_are_not_finite_are_not_finite(value):
    (boxes,), (scores,) = candidates(9.0, value, count=5)
    assert boxes.isnan().any(dim=1).tolist() == [True, False, False, False, False]
    assert scores.isfinite().all()


# Whole detectors


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("config", [DF2S2, DSFD])
def test_results_are_finite_ordered_and_inside_their_image(tiny_detector, config, precision):
    overrides = ["MODEL.SHOT.HEAD.PRIOR_PROB", 0.5, "MODEL.FACE_DETECTOR.NMS_THRESH_TEST", 0.99]
    detector: FaceDetector = tiny_detector(config, *overrides)
    for name, parameter in detector.shot.head.named_parameters():
        if name.startswith("box_deltas") and name.endswith("weight"):
            nn.init.normal_(parameter, std=3.0)
    fast = optimize(detector, precision)
    sizes = [(128, 128), (1, 1), (40, 300)]
    batch = [scenes.mapped_image(size, seed=i) for i, size in enumerate(sizes)]
    for inputs, (height, width) in zip(batch, sizes, strict=True):
        inputs |= {"height": 2 * height, "width": 3 * width}
    with torch.inference_mode():
        found = [output["instances"] for output in fast(batch)]
    assert sum(map(len, found)) > 20
    for instances, (height, width) in zip(found, sizes, strict=True):
        boxes, scores = instances.pred_boxes.tensor, instances.scores
        assert boxes.isfinite().all() and scores.isfinite().all()
        assert boxes.dtype == scores.dtype == torch.float32
        assert (scores.diff() <= 0).all() and (scores > 0).all() and (scores <= 1).all()
        assert (boxes >= 0).all() and (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes <= torch.tensor([3 * width, 2 * height] * 2)).all()
