"""The fast path against the plain one."""

from __future__ import annotations

import copy
import os

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, pairwise_iou
from torch import Tensor, nn

from benchmarks.models import random_images
from df2s2_d2.inference.fast_path import PRECISIONS, fast_detector, optimize
from df2s2_d2.inference.fast_path.winograd import WinogradConv2d
from df2s2_d2.modeling import FaceDetector
from tests.tiny_detectors import calibrate, tiny_detector

DF2S2 = "DF2S2/DF2S2_R50.yaml"
PAL = "DF2S2/DF2S2_R50_PAL.yaml"
DSFD = "DSFD/DSFD_R50.yaml"


def calibrated(detector: FaceDetector) -> FaceDetector:
    """A detector whose boxes and scores spread as a trained one's do."""
    calibrate(detector, random_images(2, (192, 256)))
    return detector


def inputs(*sizes: tuple[int, int]) -> list[dict]:
    images = [random_images(1, size, seed)[0] for seed, size in enumerate(sizes)]
    return [{"image": x, "height": 2 * x.shape[1], "width": 2 * x.shape[2]} for x in images]


def detect(detector: nn.Module, batch: list[dict]) -> list:
    with torch.inference_mode():
        return [output["instances"] for output in detector(batch)]


def found_again(boxes, scores, other_boxes, other_scores, iou: float, score: float) -> Tensor:
    """Which boxes have a partner, near enough in place and score, among the others; (D,) bool."""
    ious = pairwise_iou(Boxes(boxes), Boxes(other_boxes))
    near = (scores[:, None] - other_scores).abs() <= score
    return ((ious >= iou) & near).any(dim=1)


@pytest.mark.parametrize(
    "config",
    [(DF2S2,), (PAL,), ("DF2S2/ablations/RetinaNet_R50.yaml",), (DSFD,)],
    ids=["DF2S2", "first shot", "two towers", "DSFD"],
)
def test_detections_are_the_same(config, monkeypatch):
    monkeypatch.setattr(fast_detector, "_WINOGRAD_MIN_WIDTH", 8)
    detector = calibrated(tiny_detector(*config))
    fast = optimize(detector)
    assert any(isinstance(m, WinogradConv2d) for m in fast.modules())
    batch = inputs((192, 256), (150, 256), (60, 33))
    compared = 0
    for plain, optimized in zip(detect(detector, batch), detect(fast, batch), strict=True):
        assert plain.image_size == optimized.image_size
        for some, others in ((plain, optimized), (optimized, plain)):
            safe = some[some.scores > detector.score_threshold + 0.001]
            compared += len(safe)
            assert found_again(
                safe.pred_boxes.tensor,
                safe.scores,
                others.pred_boxes.tensor,
                others.scores,
                iou=0.999,
                score=0.001,
            ).all()
    assert compared > 20


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_finds_the_same_faces(precision):
    detector = calibrated(tiny_detector(DF2S2))
    fast = optimize(detector, precision)
    assert {p.dtype for p in fast.backbone.parameters()} == {PRECISIONS[precision]}
    batch = inputs((192, 256))
    (plain,), (optimized,) = detect(detector, batch), detect(fast, batch)
    assert optimized.scores.dtype == optimized.pred_boxes.tensor.dtype == torch.float32
    assert len(optimized) == pytest.approx(len(plain), rel=0.1)
    # Of boxes with nearly equal scores NMS may keep another, so they are compared before it.
    with torch.inference_mode():
        sizes = torch.tensor([[192, 256]])
        (boxes,), (scores,) = detector.candidates(detector.preprocess_image(batch).tensor, sizes)
        (others,), (other_scores,) = fast.candidates(fast.preprocess_image(batch).tensor, sizes)
    high = scores > detector.score_threshold
    assert high.sum() > 10
    assert found_again(boxes[high], scores[high], others, other_scores, iou=0.9, score=0.05).all()


def test_the_original_is_left_as_it_is():
    detector = calibrated(tiny_detector(PAL)).train()
    before = copy.deepcopy(detector.state_dict())
    fast = optimize(detector, "bf16")
    assert detector.training and detector.first_shot is not None
    assert all(p.requires_grad for p in detector.shot.parameters())
    after = detector.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert fast.first_shot is None
    assert not any("mask" in name for name, _ in fast.named_parameters())


def test_evaluation_loops_may_ask_for_evaluation_mode_only():
    fast = optimize(tiny_detector(DF2S2))
    assert not fast.eval().training
    with pytest.raises(RuntimeError, match="cannot be trained"):
        fast.train()


def test_what_is_no_face_detector_is_refused():
    with pytest.raises(TypeError, match="found a Linear"):
        optimize(nn.Linear(2, 2))


def test_unknown_precisions_are_refused():
    with pytest.raises(ValueError, match="expected auto, fp32, bf16, fp16; found 'int8'"):
        optimize(tiny_detector(DF2S2), "int8")


def test_auto_takes_bfloat16_where_it_is_fast(monkeypatch):
    detector = tiny_detector(DF2S2)
    for is_fast, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(
            fast_detector, "multiplies_bfloat16_fast", lambda _, is_fast=is_fast: is_fast
        )
        assert optimize(detector, "auto").dtype == dtype


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_image_sizes(monkeypatch):
    monkeypatch.setattr(fast_detector, "_WINOGRAD_MIN_WIDTH", 8)
    fast = optimize(calibrated(tiny_detector(DF2S2)))
    generator = np.random.default_rng(0)
    sizes = {tuple(size) for size in generator.integers(16, 256, (200, 2)).tolist()}
    sizes = [(256, 256), *generator.permutation(sorted(sizes))[:159].tolist()]
    assert len(set(map(tuple, sizes))) == 160

    def run(part: list[tuple[int, int]]) -> int:
        for size in part:
            fast([{"image": torch.zeros(3, *size, dtype=torch.uint8)}])
        return resident_bytes()

    with torch.inference_mode():
        half_way = run(sizes[:80])
        # 80 of these images alone take 8 MB.
        assert run(sizes[80:]) - half_way < 5e6
