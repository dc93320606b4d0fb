"""The parts of the plan for minutes on a GPU, see :mod:`benchmarks.gpu_plan`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import anchor_matching, first_steps, inference, training
from benchmarks.common import describe_environment
from df2s2_d2.cli.program import main as df2s2
from df2s2_d2.inference.publishing import publish
from df2s2_d2.training.checkpoints import newest_checkpoint

R50 = "configs/DF2S2/DF2S2_R50.yaml"
_SMALL = "configs/DF2S2/small/Base-R18.yaml"
_TINY_IMAGE = f"--setting {_SMALL} 64 64 --batch-sizes 1 --candidates 50 --repeats 1 --warmup 1"
# Images a second of the model's training, where it was not measured before.
_ASSUMED_SPEED = 60.0
# Of the model's time, for steps; the rest is for the start, and for steps that take longer.
_STEPS_SHARE = 0.75
_PIECE_BYTES = 15_000_000


@dataclass(frozen=True)
class Plan:
    """What all parts know.

    Attributes:
        output: folder of results.
        scratch: folder of what is large.
        is_dry: whether next to nothing is done, on the CPU.
        weights: ImageNet weights of the model's ResNet, torchvision's file; "" = from nothing.
        batch_size: of the model's training.
        overrides: of its config.
    """

    output: Path
    scratch: Path
    is_dry: bool
    weights: str
    batch_size: int
    overrides: tuple[str, ...]

    @property
    def device(self) -> str:
        return "cpu" if self.is_dry else "cuda"

    def choose(self, whole: str, dry: str) -> list[str]:
        """Words of the command line of a benchmark, for this plan."""
        return [*(dry if self.is_dry else whole).split(), "--device", self.device]

    def json(self, name: str) -> list[str]:
        return ["--output", str(self.output / f"{name}.json")]


def look(plan: Plan) -> None:
    """Which device it is."""
    environment = describe_environment(torch.device(plan.device))
    (plan.output / "device.json").write_text(json.dumps(environment, indent=1) + "\n")
    print(environment)


def draw_data(plan: Plan) -> None:
    """Drawn images, where there are no photographs."""
    root = Path(os.environ["DETECTRON2_DATASETS"])
    if (root / "wider_face").is_dir():
        print(f"{root} is there already")
        return
    script = Path(__file__).resolve().parents[1] / "datasets/make_sample_dataset.py"
    number = 2 if plan.is_dry else 300
    words = ["--output", str(root), "--num-train", str(number), "--num-val", str(number // 2)]
    words += ["--num-test", "1", *(["--crowd-faces", "9"] if plan.is_dry else ["--workers", "8"])]
    subprocess.run([sys.executable, str(script), *words], check=True)


def run_tests(plan: Plan) -> None:
    """The tests that need a GPU."""
    tests = "tests/test_hardware.py" if plan.is_dry else "tests"
    words = ["-q", "-m", "gpu", "--continue-on-collection-errors", "-p", "no:cacheprovider", tests]
    code = pytest.main(words)
    # Where no test needs a GPU, none is left.
    if code and not (plan.is_dry and code == pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(int(code))


def take_first_steps(plan: Plan) -> None:
    """Whether anything runs at all."""
    dry = f"--config-files {_SMALL} --size 64 --batch-size 1 --precisions bf16"
    first_steps.main([*plan.choose("", dry), *plan.json("first_steps")])


def time_inference(plan: Plan) -> None:
    """Eager, on the fast path and with CUDA graphs, beside RetinaNet."""
    whole = "--precisions fp32 bf16 fp16 --batch-sizes 1 8 32"
    inference.main([*plan.choose(whole, _TINY_IMAGE), *plan.json("inference")])


def time_compiled_inference(plan: Plan) -> None:
    """The same with torch.compile."""
    whole = f"--compile --precisions bf16 --batch-sizes 1 32 --setting {R50} 512 640"
    words = plan.choose(whole, f"--compile {_TINY_IMAGE}")
    inference.main([*words, *plan.json("inference_compiled")])


def time_training(plan: Plan) -> None:
    """Whole steps beside RetinaNet's, few faces and many."""
    whole = f"--config-files {R50} --batch-sizes 16 --precisions fp32 bf16 --channels-last"
    whole += " --compile --growth-faces 2000 --repeats 10"
    dry = f"--config-files {_SMALL} --batch-sizes 1 --sizes 64 --faces 3 --precisions bf16"
    dry += " --channels-last --compile --growth-faces 20 --repeats 1 --warmup 1"
    training.main([*plan.choose(whole, dry), *plan.json("training")])


def time_matching(plan: Plan) -> None:
    """Anchor matching beside a dense matrix."""
    dry = "--size 64 64 --faces 3 --repeats 1 --warmup 1"
    anchor_matching.main([*plan.choose("--max-matrix-mb 5000", dry), *plan.json("matching")])


def train_model(plan: Plan, seconds: float) -> None:
    """As long as there is time; a signal that ends it leaves a checkpoint of the last step."""
    steps = 4 if plan.is_dry else model_steps(plan, seconds)
    keys: dict[str, Any] = {
        "SOLVER.REFERENCE_WORLD_SIZE": 0,
        "SOLVER.MAX_ITER": steps,
        "SOLVER.STEPS": f"({steps * 2 // 3}, {steps * 9 // 10})",
        "SOLVER.WARMUP_ITERS": steps // 10,
        "SOLVER.IMS_PER_BATCH": plan.batch_size,
        "SOLVER.BASE_LR": 0.004 * plan.batch_size / 32,
        "SOLVER.AMP.ENABLED": True,
        "SOLVER.AMP.PRECISION": "bfloat16",
        "SOLVER.CHANNELS_LAST": True,
        "SOLVER.EMA.ENABLED": True,
        "SOLVER.EMA.DECAY": 0.998,
        "SOLVER.CHECKPOINT_PERIOD": max(steps // 4, 1),
        "SOLVER.CHECKPOINT_KEEP": 1,
        "DATASETS.TEST": "()",
        "DATALOADER.NUM_WORKERS": 0 if plan.is_dry else min(os.cpu_count() or 1, 14),
        "SEED": 1,
    }
    _df2s2_train(plan, *_pairs(keys))


def model_steps(plan: Plan, seconds: float) -> int:
    """Steps of the model's training that fit into a time, by the speed that was measured."""
    speed = _ASSUMED_SPEED
    measured = plan.output / "training.json"
    if measured.is_file():
        rows = json.loads(measured.read_text(encoding="utf-8"))["results"]
        speeds = [
            row["images_per_second"]
            for row in rows
            if (row["model"], row["variant"]) == ("df2s2_d2", "channels last")
            and row["precision"] == "bf16"
        ]
        speed = max(speeds, default=speed)
    return max(int(seconds * _STEPS_SHARE * speed / plan.batch_size), 20)


def score_model(plan: Plan, name: str, short_side: int) -> None:
    """Score the newest checkpoint of the model, and take the figures home."""
    size = 64 if plan.is_dry else short_side
    _df2s2_train(plan, "--eval-only", "INPUT.MIN_SIZE_TEST", str(size))
    results = plan.scratch / "model/inference/wider_face_val/results.json"
    shutil.copy(results, plan.output / f"{name}.json")


def keep_model(plan: Plan) -> None:
    """Its metrics, and its weights in half precision, in pieces that can be carried.

    ``cat model.safetensors.* > model.safetensors`` puts them together.
    """
    folder = plan.scratch / "model"
    shutil.copy(folder / "metrics.json", plan.output / "model_metrics.json")
    checkpoint = newest_checkpoint(str(folder))
    publish(checkpoint, plan.scratch, "model", description="", license="", protocol="", ap={})
    content = (plan.scratch / "model.safetensors").read_bytes()
    for index, start in enumerate(range(0, len(content), _PIECE_BYTES)):
        piece = plan.output / f"model.safetensors.{index:02}"
        piece.write_bytes(content[start : start + _PIECE_BYTES])


@dataclass(frozen=True)
class Part:
    """A piece of the plan: at most so many seconds for what is done with the plan."""

    seconds: float
    do: Callable[[Plan], None]


def parts(model_seconds: float) -> dict[str, Part]:
    """All parts in the order of what matters most."""
    return {
        "device": Part(20, look),
        "first_steps": Part(80, take_first_steps),
        "tests": Part(90, run_tests),
        "inference": Part(90, time_inference),
        "training": Part(90, time_training),
        "inference_compiled": Part(60, time_compiled_inference),
        "matching": Part(20, time_matching),
        "data": Part(60, draw_data),
        "model": Part(model_seconds, lambda plan: train_model(plan, model_seconds)),
        "test_x1": Part(40, lambda plan: score_model(plan, "test_x1", 0)),
        "test_x2": Part(40, lambda plan: score_model(plan, "test_x2", 832)),
        "weights": Part(20, keep_model),
    }


def _df2s2_train(plan: Plan, *words: str) -> None:
    """``df2s2 train --resume`` of the model; words are options and keys."""
    options = [word for word in words if word.startswith("--")]
    keys = [word for word in words if not word.startswith("--")]
    config = _SMALL if plan.is_dry else R50
    keys += ["MODEL.DEVICE", plan.device, "OUTPUT_DIR", str(plan.scratch / "model")]
    keys += ["MODEL.BOTTOM_UP.WEIGHTS", plan.weights, *plan.overrides]
    if plan.is_dry:
        keys += ["INPUT.RESIZE_SQUARE_TRAIN", "64"]
    code = df2s2(["train", "--config-file", config, "--resume", *options, *keys])
    if code:
        sys.exit(code)


def _pairs(keys: dict[str, Any]) -> list[str]:
    return [str(part) for pair in keys.items() for part in pair]
