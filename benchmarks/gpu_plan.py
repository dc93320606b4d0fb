#!/usr/bin/env python3
"""Use minutes on a GPU: the parts of a plan one after another, each with a time limit of its own.

    python -m benchmarks.gpu_plan results/                           # all of it: nine minutes
    python -m benchmarks.gpu_plan results/ --parts training model test_x1 test_x2
    python -m benchmarks.gpu_plan results/ --dry-run      # on the CPU, next to nothing of each

Each part is a fork of this process, which has imported everything once and touched no GPU. One that
fails, crashes or takes too long ends alone: its output and traceback are in PART.log, the exit
codes in summary.json, which is written after each part, and the others go on. Exits with 1 if one
failed. benchmarks/run_on_gpu.sh installs what a machine lacks, then runs this.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo

from benchmarks import (
    anchor_matching,
    first_steps,
    inference,
    make_table,
    training,
)
from benchmarks.common import describe_environment
from df2s2_d2.cli.program import main as df2s2
from df2s2_d2.inference.publishing import publish
from df2s2_d2.training.checkpoints import newest_checkpoint

R50 = "configs/DF2S2/DF2S2_R50.yaml"
# What a part leaves for its last words after its time is over, and the plan for the summary.
_GRACE_SECONDS = 15
# Images a second of the model's training, where it was not measured before.
_ASSUMED_SPEED = 60.0
# Of the model's time, for steps; the rest is for the start, and for steps that take longer.
_STEPS_SHARE = 0.75
_LOG_BYTES = 1_000_000
_PIECE_BYTES = 15_000_000
# Exit code of a training that its time limit has stopped, with a checkpoint of its last step.
_STOPPED = 128 + signal.SIGTERM


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


_SMALL = "configs/DF2S2/small/Base-R18.yaml"
_TINY_IMAGE = f"--setting {_SMALL} 64 64 --batch-sizes 1 --candidates 50 --repeats 1 --warmup 1"


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


def do_part(name: str, part: Part, plan: Plan, seconds: float) -> dict[str, Any]:
    """Do a part in a process of its own.

    Args:
        seconds: what is left of the plan's time.

    Returns:
        How it ended, ready for JSON.
    """
    limit, started = min(part.seconds, seconds), time.monotonic()
    log = plan.output / f"{name}.log"
    if limit <= 0:
        return {"part": name, "exit_code": None, "seconds": 0.0, "end": "no time was left"}
    process = multiprocessing.get_context("fork").Process(target=_inside, args=(part, plan, log))
    process.start()
    _lead_group(process.pid)
    process.join(limit)
    is_late = process.is_alive()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.is_alive():
            _signal_group(process.pid, number)
            process.join(_GRACE_SECONDS)
    _signal_group(process.pid, signal.SIGKILL)  # what it may have started itself
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    if len(text) > _LOG_BYTES:
        log.write_text(text[-_LOG_BYTES:], encoding="utf-8")
    return {
        "part": name,
        "exit_code": process.exitcode,
        "seconds": round(time.monotonic() - started, 1),
        "end": f"took more than {limit:.0f} s" if is_late else "",
        "log_end": text[-6000:] if process.exitcode else "",
    }


def _inside(part: Part, plan: Plan, log: Path) -> None:
    _lead_group(os.getpid())
    with log.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
    try:
        part.do(plan)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        sys.stdout.flush()


def _lead_group(pid: int) -> None:
    """Give a process a group of its own, so that it can be ended with all that it starts.

    Both it and who started it do so, since either may be the first that needs it.
    """
    with suppress(ProcessLookupError):
        os.setpgid(pid, pid)


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


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


def write_summary(plan: Plan, done: list[dict[str, Any]]) -> list[str]:
    """Write how all parts ended so far.

    Returns:
        The names of those that failed.
    """
    fine = {"model": (0, _STOPPED)}
    failed = [r["part"] for r in done if r["exit_code"] not in fine.get(r["part"], (0,))]
    text = json.dumps({"failed": failed, "parts": done}, indent=1)
    (plan.output / "summary.json").write_text(text + "\n", encoding="utf-8")
    return failed


def write_tables(output: Path) -> None:
    """results.md of all benchmarks that have come to figures."""
    names = ("first_steps", "inference", "inference_compiled", "training", "matching")
    tables = [
        f"### {name}\n\n{make_table.to_markdown(json.loads(path.read_text(encoding='utf-8')))}\n"
        for name in names
        if (path := output / f"{name}.json").is_file()
    ]
    (output / "results.md").write_text("\n".join(tables), encoding="utf-8")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="folder of results, flat")
    parser.add_argument("--parts", nargs="+", choices=list(parts(0)), metavar="PART")
    parser.add_argument(
        "--limit", type=float, default=590, metavar="SECONDS", help="of all parts together"
    )
    parser.add_argument(
        "--model-seconds", type=float, default=440, metavar="SECONDS", help="of the part 'model'"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="of the part 'model'")
    parser.add_argument("--weights", default="", metavar="FILE", help="ImageNet ResNet-50")
    parser.add_argument("--scratch", type=Path, default=Path("output/gpu_scratch"))
    parser.add_argument("--dry-run", action="store_true", help="a rehearsal on the CPU")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="of the model")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 1 if a part failed.
    """
    args = parse_arguments(arguments)
    args.output.mkdir(parents=True, exist_ok=True)
    if args.dry_run:
        # Compiling for a CPU takes longer than all of the rehearsal.
        torch._dynamo.config.disable = True
    plan = Plan(
        args.output.resolve(),
        args.scratch.resolve(),
        args.dry_run,
        args.weights,
        1 if args.dry_run else args.batch_size,
        tuple(args.opts),
    )
    began, done = time.monotonic(), []
    failed: list[str] = []
    # A rehearsal looks for mistakes, whatever else the machine is doing.
    patience = 100 if args.dry_run else 1
    for name, part in parts(args.model_seconds).items():
        if args.parts and name not in args.parts:
            continue
        left = args.limit * patience - _GRACE_SECONDS - (time.monotonic() - began)
        print(f"== {name}", flush=True)
        done.append(do_part(name, Part(part.seconds * patience, part.do), plan, left))
        failed = write_summary(plan, done)
        row = done[-1]
        told = f"FAILED with {row['exit_code']} {row['end']}" if name in failed else "done"
        print(f"   {told} after {row['seconds']} s", flush=True)
    write_tables(plan.output)
    print(f"Failed: {', '.join(failed)}" if failed else "All parts passed.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
