"""What must hold on a CUDA device: the CPU's results, no waiting for the host, bounded memory.

With ``DF2S2_GPU_TEST_DEVICE=cpu`` the comparisons themselves can be tried where there is no GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model
from detectron2.structures import Boxes, pairwise_iou
from detectron2.utils.events import EventStorage

from benchmarks.anchor_matching import Problem
from benchmarks.models import annotated_batch, calibrate_untrained
from df2s2_d2 import load_config
from df2s2_d2.data.datasets.builtin import register_wider_face
from df2s2_d2.inference.fast_path import optimize
from df2s2_d2.modeling import FaceDetector
from df2s2_d2.modeling.targets import GroundTruth
from df2s2_d2.training import Trainer
from df2s2_d2.training.acceleration import accelerate, use_channels_last
from df2s2_d2.training.optimizer import build_sgd
from df2s2_d2.training.step import build_step
from df2s2_d2.training.weight_average import WeightAverage

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "configs/DF2S2/small/Base-R18.yaml"
DEVICE = torch.device(os.getenv("DF2S2_GPU_TEST_DEVICE", "cuda"))
on_gpu_only = pytest.mark.skipif(DEVICE.type != "cuda", reason="measures a CUDA device")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE.type == "cuda" and not torch.cuda.is_available(), reason="no CUDA device"
    ),
]


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """Convolutions in float32 proper, so that both devices can be held to the same numbers."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def small_config(device: torch.device, *overrides) -> CfgNode:
    return load_config(str(SMALL), ["MODEL.DEVICE", str(device), *overrides])


def batch_with_regions() -> list[dict]:
    """Two images of different sizes: one with faces and an ignored region, one without faces."""
    batch = annotated_batch(1, (128, 160), num_faces=12) + annotated_batch(1, (96, 128), 0)
    batch[0]["ignore_regions"] = torch.tensor([[20.0, 30.0, 90.0, 100.0]])
    return batch


def detectors_on_both_devices(*overrides, dtype=torch.float32) -> tuple[FaceDetector, FaceDetector]:
    """The same detector on the CPU and on the device under test."""
    torch.manual_seed(0)
    on_cpu = build_model(small_config(torch.device("cpu"), *overrides))
    calibrate_untrained(on_cpu, [inputs["image"] for inputs in annotated_batch(1, (128, 160), 0)])
    on_device = build_model(small_config(DEVICE, *overrides))
    on_device.load_state_dict(on_cpu.state_dict())
    return on_cpu.to(dtype), on_device.to(dtype)


def features_and_ground_truth(
    model: FaceDetector, batch: list[dict]
) -> tuple[dict[str, torch.Tensor], GroundTruth]:
    images = model.preprocess_image(batch)
    ground_truth = GroundTruth.from_batch(batch, images.image_sizes, model.device)
    return model.backbone(images.tensor), ground_truth


TWO_SHOTS = ["MODEL.BOTTOM_UP.NUM_POOLED_LEVELS", 2, "MODEL.FIRST_SHOT.ENABLED", True]


@pytest.mark.parametrize("overrides", [[], TWO_SHOTS], ids=["one shot", "two shots"])
def test_training_step_equals_the_cpu(overrides):
    batch = batch_with_regions()
    gradients, losses = [], []
    for model in detectors_on_both_devices(*overrides):
        its_losses = model(batch)
        sum(its_losses.values()).backward()
        losses.append({name: loss.item() for name, loss in its_losses.items()})
        gradients.append(model.shot.head.face_logits.weight.grad.cpu())
    assert losses[0].keys() == losses[1].keys()
    assert all(value > 0 for value in losses[0].values())
    for name, expected in losses[0].items():
        assert losses[1][name] == pytest.approx(expected, rel=1e-3), name
    difference = (gradients[1] - gradients[0]).norm() / gradients[0].norm()
    assert difference < 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_step_is_finite_and_near_full_precision(dtype):
    if DEVICE.type == "cuda" and dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported():
        pytest.skip("this GPU has no bfloat16")
    _, model = detectors_on_both_devices()
    batch = batch_with_regions()
    full = {name: loss.item() for name, loss in model(batch).items()}
    with torch.autocast(DEVICE.type, dtype=dtype):
        losses = model(batch)
    sum(losses.values()).backward()
    for name, loss in losses.items():
        assert loss.dtype is torch.float32, name
        assert loss.item() == pytest.approx(full[name], rel=0.05), name
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("num_faces", [0, 1, 300])
def test_matching_equals_the_cpu_exactly(num_faces):
    arguments = (num_faces, (256, 384), 50, 1)
    problems = [Problem(*arguments, torch.device("cpu")), Problem(*arguments, DEVICE)]
    first, second = (
        p.window_matcher(p.grids, p.faces, p.face_images, p.image_sizes) for p in problems
    )
    assert (first.labels == 1).any() == (num_faces > 0)
    assert torch.equal(first.labels, second.labels.cpu())
    assert torch.equal(first.faces, second.faces.cpu())


@on_gpu_only
@pytest.mark.parametrize("assignment", ["matching", "scale"])
@pytest.mark.parametrize("amp", [False, True], ids=["fp32", "fp16"])
def test_matching_and_losses_never_wait_for_the_gpu(assignment, amp):
    overrides = [*TWO_SHOTS, "MODEL.SHOT.WEAK_MASK.ASSIGNMENT", assignment]
    _, model = detectors_on_both_devices(*overrides)
    batch = batch_with_regions()
    with torch.autocast("cuda", dtype=torch.float16, enabled=amp):
        features, ground_truth = features_and_ground_truth(model, batch)
        model.forward_training(features, ground_truth)  # libraries may wait the first time
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            losses = model.forward_training(features, ground_truth)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert all(loss.isfinite() for loss in losses.values())


@on_gpu_only
def test_annotations_reach_the_gpu_without_waiting():
    batch = batch_with_regions()
    torch.cuda.set_sync_debug_mode("error")
    try:
        ground_truth = GroundTruth.from_batch(batch, [(128, 160), (96, 128)], DEVICE)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ground_truth.faces.device.type == "cuda"
    expected = batch[0]["instances"].gt_boxes.tensor
    assert torch.equal(ground_truth.faces.cpu(), expected)
    assert ground_truth.image_sizes.tolist() == [[128, 160], [96, 128]]


@torch.no_grad()
def test_detections_equal_the_cpu():
    # Untrained scores lie close together: in float64 both devices still order them alike.
    batch = [{"image": x["image"]} for x in batch_with_regions()]
    found = []
    for model in detectors_on_both_devices(dtype=torch.float64):
        model.eval()
        model.num_candidates = 500
        found.append([output["instances"].to("cpu") for output in model(batch)])
    for expected, actual in zip(*found, strict=True):
        assert 20 < len(expected) == len(actual)
        overlaps = pairwise_iou(expected.pred_boxes, actual.pred_boxes)
        best, index = overlaps.max(dim=1)
        assert best.min() > 0.99
        assert (actual.scores[index] - expected.scores).abs().max() < 1e-3


@torch.inference_mode()
def test_the_fast_path_finds_what_the_cpu_finds():
    on_cpu, on_device = (model.eval() for model in detectors_on_both_devices())
    batch = [{"image": x["image"]} for x in annotated_batch(2, (128, 160), 0)]
    sizes = torch.tensor([[128, 160]] * 2)
    boxes, scores = on_cpu.candidates(on_cpu.preprocess_image(batch).tensor, sizes)
    fast = optimize(on_device)
    for _ in range(3):  # plainly, recorded, and replayed
        images = fast.preprocess_image(batch).tensor
        found, found_scores = fast.candidates(images, sizes.to(DEVICE))
        torch.testing.assert_close(found_scores.cpu(), scores, rtol=1e-3, atol=1e-3)
        for image in range(2):
            overlaps = pairwise_iou(Boxes(boxes[image, :100]), Boxes(found[image].cpu()))
            assert overlaps.max(dim=1).values.min() > 0.99


@on_gpu_only
@pytest.mark.parametrize("precision", ["", "float16", "bfloat16"])
def test_a_whole_training_step_never_waits_for_the_gpu(precision, tmp_path):
    overrides = ["SOLVER.AMP.ENABLED", bool(precision), "SOLVER.AMP.PRECISION", precision]
    overrides += ["SOLVER.CHANNELS_LAST", True, "SOLVER.IMS_PER_BATCH", 2, "SOLVER.ACCUMULATE", 2]
    cfg = small_config(DEVICE, *overrides, "OUTPUT_DIR", str(tmp_path))
    _, model = detectors_on_both_devices()
    use_channels_last(model)
    average = WeightAverage(model, decay=0.9)
    accelerate(model, cfg)
    batches = [batch_with_regions()] * 4
    step = build_step(cfg, model, batches, build_sgd(cfg, model), average)
    with EventStorage():
        for iteration in range(4):
            step.iter = iteration
            # Libraries may wait the first times.
            torch.cuda.set_sync_debug_mode("error" if iteration > 1 else "default")
            try:
                step.run_step()
            finally:
                torch.cuda.set_sync_debug_mode("default")
    step.finite_check.check()
    assert all(value.isfinite().all() for value in average.model.state_dict().values())


@on_gpu_only
@torch.inference_mode()
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_network_never_waits_for_the_gpu(precision):
    _, plain = detectors_on_both_devices()
    fast = optimize(plain.eval(), precision)
    batch = [{"image": x["image"]} for x in annotated_batch(2, (128, 160), 0)]
    sizes = torch.tensor([[128, 160]] * 2, device=DEVICE)
    for model in (plain, fast):
        images = model.preprocess_image(batch).tensor
        for _ in range(2):  # libraries may wait the first time, and recording a graph does
            model.candidates(images, sizes)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            _, scores = model.candidates(images, sizes)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert scores.isfinite().all()


@on_gpu_only
@torch.inference_mode()
def test_graphs_of_many_sizes_take_no_more_memory_than_those_of_a_few():
    _, plain = detectors_on_both_devices()
    fast = optimize(plain.eval())

    def reserved_after(sizes: list[tuple[int, int]]) -> int:
        for height, width in sizes:
            for _ in range(3):
                fast([{"image": torch.zeros(3, height, width, dtype=torch.uint8)}])
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()

    sizes = [(128 * i, 128 * j) for i in range(1, 6) for j in range(1, 6)]
    few = reserved_after(sizes[-8:])
    assert reserved_after([*sizes, *sizes[-8:]]) < 1.2 * few + 50e6


@on_gpu_only
def test_matching_memory_is_bounded():
    problem = Problem(2000, (768, 1280), 50, 0, DEVICE)
    assert len(problem.anchors) > 490_000
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    labels = problem.windows()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - before
    assert (labels == 1).sum() >= 2000 / 2  # crowded faces share anchors
    assert peak < 400e6


def test_trainer_runs_in_mixed_precision_on_drawn_data(sample_dataset, tmp_path):
    data = sample_dataset / "wider_face"
    name = "drawn_faces_for_gpu_test"
    register_wider_face(
        name,
        data / "WIDER_train/images",
        data / "wider_face_split/wider_face_train_bbx_gt.txt",
    )
    try:
        cfg = small_config(DEVICE, "DATASETS.TRAIN", (name,), "DATASETS.TEST", ())
        cfg.merge_from_list(["OUTPUT_DIR", str(tmp_path), "SOLVER.MAX_ITER", 4])
        cfg.merge_from_list(["SOLVER.IMS_PER_BATCH", 2, "SOLVER.STEPS", (), "SEED", 0])
        cfg.merge_from_list(["INPUT.RESIZE_SQUARE_TRAIN", 160, "DATALOADER.NUM_WORKERS", 0])
        assert cfg.SOLVER.AMP.ENABLED
        torch.manual_seed(0)
        trainer = Trainer(cfg)
        calibration = [x["image"] for x in annotated_batch(1, (160, 160), 0)]
        calibrate_untrained(trainer.model, calibration)
        weight = trainer.model.shot.head.face_logits.weight
        before = weight.detach().clone()
        trainer.train()
        assert not torch.equal(weight, before)
        assert weight.isfinite().all()
        with EventStorage(0):
            losses = trainer.model(next(iter(trainer.build_train_loader(cfg))))
        assert all(loss.isfinite() for loss in losses.values())
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
