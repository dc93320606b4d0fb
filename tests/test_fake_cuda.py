"""What would fail or wait on a GPU, found without one; see tests/fake_cuda.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from df2s2_d2.modeling import anchors, meta_arch
from df2s2_d2.modeling.multi_scale.test_time_augmentation import DenseDetectorWithTTA
from df2s2_d2.training.acceleration import accelerate
from df2s2_d2.training.finite_check import FiniteCheck
from df2s2_d2.training.optimizer import build_sgd
from df2s2_d2.training.step import TrainingStep
from df2s2_d2.training.weight_average import WeightAverage
from tests.fake_cuda import CUDA, CudaTensor, fake_cuda, moved
from tests.modeling import scenes
from tests.tiny_detectors import tiny_config

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PAL, DSFD = "DF2S2/DF2S2_R50_PAL.yaml", "DSFD/DSFD_R50.yaml"
# Depth and width bring no operation of another kind.
SMALLER = ["MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.RES2_OUT_CHANNELS", 16, "MODEL.VGG.WIDTH", 4]
SMALLER += ["MODEL.BOTTOM_UP.WEIGHTS", "", "MODEL.SHOT.HEAD.CONV_DIM", 32]
LARGE_TIMM = {"DSFD_DPN98", "DSFD_SE-R101", "DSFD_SE-RX101"}


def config(file: str, *overrides):
    return tiny_config(file, *SMALLER, *overrides)


def distinct_detectors() -> list[str]:
    """Configs, one of each detector that they describe."""
    files = {}
    for path in sorted(CONFIGS.glob("**/*.yaml")):
        if not path.stem.startswith("Base") and path.stem not in LARGE_TIMM:
            file = str(path.relative_to(CONFIGS))
            files.setdefault(config(file).MODEL.dump(), file)
    return list(files.values())


def batch() -> list[dict]:
    return [
        scenes.mapped_image((100, 128), [[20, 30, 60, 80], [70, 10, 76, 18]], [[90, 0, 128, 40]]),
        scenes.mapped_image((128, 96)),
    ]


def detector(cfg, training: bool):
    torch.manual_seed(0)
    return moved(build_model(cfg).train(training))


class StepWithoutBackward(TrainingStep):
    """Autograd's own engine refuses a GPU that is none, so gradients are given here."""

    def _compute_gradients(self, batch: list[dict]) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            losses = self.model(batch)
            for parameter in self.parameters:
                parameter.grad = torch.ones_like(parameter)
        return losses


@pytest.mark.parametrize("file", [PAL, DSFD])
def test_a_training_step_never_waits(file):
    cfg = config(file)
    check = FiniteCheck(torch.device("cpu"), 20, cfg.OUTPUT_DIR)
    check._never = check._first = check._first_here = CudaTensor(check._never)
    with fake_cuda() as gpu, EventStorage():
        model = detector(cfg, training=True)
        average = WeightAverage(model, decay=0.9)
        accelerate(model, cfg)
        options = {"check_periods": (20,), "metric_period": 20, "average": average}
        optimizer = build_sgd(cfg, model)
        step = StepWithoutBackward(model, [batch()] * 2, optimizer, finite_check=check, **options)
        gpu.waits.clear()  # those of getting ready
        for iteration in range(2):
            step.iter = iteration
            step.run_step()
    assert not gpu.mixed
    assert not gpu.waits
    momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
    assert momenta and all(momentum.device == CUDA and momentum.host.any() for momentum in momenta)
    assert average.num_updates == 2


@pytest.mark.parametrize("file", distinct_detectors())
def test_every_detector_stays_on_its_device(file):
    cfg = config(file)
    with fake_cuda() as gpu, torch.no_grad():
        model = detector(cfg, training=True)
        losses = model(batch())
        assert not gpu.waits, "in training"
        model.eval()
        detections = model(batch())
    assert not gpu.mixed
    assert all(loss.device == CUDA and loss.host.isfinite() for loss in losses.values())
    for found in detections:
        fields = found["instances"]
        assert fields.pred_boxes.device == fields.scores.device == CUDA


@pytest.mark.parametrize("merge", ["box_voting", "nms"])
def test_test_time_augmentation_stays_on_its_device(merge):
    cfg = config(PAL, "TEST.AUG.MIN_SIZES", (96, 128), "TEST.AUG.MERGE", merge)
    with fake_cuda() as gpu, torch.no_grad():
        model = DenseDetectorWithTTA(cfg, detector(cfg, training=False))
        image = (torch.rand(3, 100, 128) * 255).to(torch.uint8)
        instances = model([{"image": image, "height": 100, "width": 128}])[0]["instances"]
    assert not gpu.mixed
    assert instances.pred_boxes.device == CUDA


# What is to be found is found


def test_a_tensor_made_on_the_wrong_device_is_found(monkeypatch):
    monkeypatch.setattr(
        anchors, "_count_up_to", lambda count, like: torch.arange(count, dtype=torch.float32)
    )
    with fake_cuda() as gpu, torch.no_grad():
        detector(config(PAL), training=True)(batch())
    assert any("modeling/anchors.py" in place for place in gpu.mixed)


def test_a_copy_that_waits_is_found(monkeypatch):
    monkeypatch.setattr(meta_arch, "to_device", lambda tensor, device: tensor.to(device))
    with fake_cuda() as gpu, torch.no_grad():
        detector(config(PAL), training=True)(batch())
    assert gpu.waits and all("aten._to_copy" in place for place in gpu.waits)


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x[torch.tensor([0])],
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: torch.tensor([1.0], device=x.device),
        lambda x: x.new_tensor([1.0]),
        lambda x: x.repeat_interleave(x.long()),
        lambda x: x.unique(),
    ],
)
def test_whatever_the_host_waits_for_is_counted(operation):
    with fake_cuda() as gpu:
        x = CudaTensor(torch.ones(3))
        operation(x)
    assert sum(gpu.waits.values()) == 1 and not gpu.mixed


@pytest.mark.parametrize(
    "operation",
    [
        lambda x, y: x + y,
        lambda x, y: y.mul_(x),
        lambda x, y: torch.cat((x, y)),
        lambda x, y: torch.where(x > 0, x, y),
    ],
)
def test_operations_on_both_devices_are_counted(operation):
    with fake_cuda() as gpu:
        operation(CudaTensor(torch.ones(3)), torch.ones(3))
    assert sum(gpu.mixed.values()) == 1 and not gpu.waits


def test_what_a_gpu_does_by_itself_is_not_counted():
    with fake_cuda() as gpu:
        x = CudaTensor(torch.ones(3))
        y = torch.arange(3, device=x.device) + torch.zeros(3).pin_memory().to(
            CUDA, non_blocking=True
        )
        y += x * 2 + torch.tensor(1.0)
        z = y[torch.zeros(2, dtype=torch.int64, device=CUDA)]
    assert not gpu.mixed and not gpu.waits
    assert y.device == z.device == CUDA
    assert y.host.tolist() == [3.0, 4.0, 5.0] and z.host.tolist() == [3.0, 3.0]
