#!/usr/bin/env python3
"""Speed, stages, memory and host synchronisations of training steps beside detectron2's RetinaNet.

    python -m benchmarks.training --output output/training.json
    python -m benchmarks.training --precisions fp32 fp16 --batch-sizes 8 32 --channels-last
    python -m benchmarks.training --device cpu --batch-sizes 2 --sizes 320 --growth-faces 1 2000

A step is forward, losses, backward and SGD on images of the host's memory. The face detector takes
the Trainer's step, RetinaNet that of detectron2's trainer; a switch such as --channels-last adds a
row of each with it. Detectors take their steps in turns on the same batch, first in the setting
that is named, then with other numbers of faces and other sizes.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.engine import SimpleTrainer
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer
from detectron2.utils.events import EventStorage
from torch import nn

from benchmarks.common import (
    AUTOCAST_TYPES,
    add_batch_arguments,
    add_common_arguments,
    autocast,
    choose_device,
    peak_memory,
    relative_difference,
    report,
    summarize_seconds,
    time_alternating,
)
from benchmarks.make_table import to_markdown
from benchmarks.models import (
    OURS,
    THEIRS,
    annotated_batch,
    calibrate_untrained,
    random_images,
    retinanet_config,
    silence_detectron2,
)
from benchmarks.stage_clock import StageClock
from df2s2_d2 import load_config
from df2s2_d2.modeling import meta_arch
from df2s2_d2.training.acceleration import accelerate, use_channels_last
from df2s2_d2.training.optimizer import build_sgd
from df2s2_d2.training.step import build_step

CONFIGS = ["configs/DF2S2/DF2S2_R50.yaml", "configs/DF2S2/small/Base-R18.yaml"]
STAGES = ("data to device", "backbone", "head", "targets", "losses", "backward", "optimizer")
PLAIN = "plain"


class Case(NamedTuple):
    """What both detectors are given."""

    precision: str
    batch_size: int
    size: int
    faces: int


class RetinaNetStep(SimpleTrainer):
    """detectron2's trainer, with its AMPTrainer's precision on any device."""

    def __init__(self, model, data_loader, optimizer, device: torch.device, precision: str):
        super().__init__(model, data_loader, optimizer, gather_metric_period=10**9)
        self.device = device
        self.precision = precision
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def run_step(self) -> None:
        batch = next(self._data_loader_iter)
        with autocast(self.device, self.precision):
            losses = self.model(batch)
        self.optimizer.zero_grad()
        self.scaler.scale(sum(losses.values())).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


class Endless:
    """A data loader that gives one batch again and again."""

    def __init__(self, batch: list[dict]):
        self.batch = batch

    def __iter__(self) -> Iterator[list[dict]]:
        while True:
            yield self.batch


def training_config(
    config_file: str, variant: str, case: Case, backend: str, device: torch.device
) -> CfgNode:
    """The config of a face detector with one switch, or none."""
    overrides = ["MODEL.DEVICE", str(device), "MODEL.BOTTOM_UP.WEIGHTS", ""]
    overrides += ["SOLVER.IMS_PER_BATCH", case.batch_size]
    # A rate of 0 does all the work but keeps an untrained model where it is.
    overrides += ["SOLVER.BASE_LR", 0.0]
    dtype = AUTOCAST_TYPES[case.precision]
    overrides += ["SOLVER.AMP.ENABLED", dtype is not None]
    if dtype is not None:
        overrides += ["SOLVER.AMP.PRECISION", str(dtype).removeprefix("torch.")]
    overrides += {
        PLAIN: [],
        "channels last": ["SOLVER.CHANNELS_LAST", True],
        "compiled": ["SOLVER.COMPILE", backend],
        "recomputed": ["SOLVER.ACTIVATION_CHECKPOINTING", True],
    }[variant]
    return load_config(config_file, overrides)


def training_step(
    name: str, cfg: CfgNode, case: Case, seed: int, device: torch.device
) -> SimpleTrainer:
    """The step of one of the detectors, ready to be taken."""
    torch.manual_seed(seed)
    batch = annotated_batch(case.batch_size, (case.size, case.size), case.faces, seed)
    model = build_model(cfg if name == OURS else retinanet_config(cfg))
    calibrate_untrained(model, random_images(2, (case.size, case.size), seed))
    if cfg.SOLVER.CHANNELS_LAST:
        use_channels_last(model)
    loader = Endless(batch)
    if name == OURS:
        accelerate(model, cfg)
        step = build_step(cfg, model, loader, build_sgd(cfg, model), None)
        # What is done every so many steps is not of every step; RetinaNet's is left out likewise.
        step.check_periods, step.gather_metric_period = [], 10**9
    else:
        if cfg.SOLVER.COMPILE:
            model.backbone.compile(backend=cfg.SOLVER.COMPILE)
            model.head.compile(backend=cfg.SOLVER.COMPILE)
        step = RetinaNetStep(model, loader, build_optimizer(cfg, model), device, case.precision)
    step.iter = 0
    return step


def stage_seconds(step: SimpleTrainer, device: torch.device, repeats: int) -> dict[str, float]:
    """Median seconds of each of :data:`STAGES`; losses are what is left of the forward pass."""
    model = step.model
    is_face_detector = isinstance(model, meta_arch.FaceDetector)
    samples = []
    for _ in range(repeats):
        clock = StageClock(device)
        calls = [
            (model, "forward", "losses"),
            (model, "preprocess_image", "data to device"),
            (model.backbone, "forward", "backbone"),
            (torch.Tensor, "backward", "backward"),
        ]
        if is_face_detector:
            calls.append((meta_arch.GroundTruth, "from_batch", "data to device"))
            for shot in filter(None, (model.shot, model.first_shot)):
                calls.append((shot, "forward", "head"))
                calls.append((shot, "targets", "targets"))
        else:
            calls += [(model.head, "forward", "head"), (model, "label_anchors", "targets")]
        with clock.watching(*calls), clock.stage("optimizer"):
            step.run_step()
        samples.append(clock.seconds)
    return {stage: median(sample[stage] for sample in samples) for stage in STAGES}


def count_synchronizations(model: nn.Module, step: Callable[[], None]) -> int:
    """How often the host waits for the GPU in a model's matching and losses, in one step."""
    inner = model.forward_training
    counts = []

    def watched(*args: Any) -> dict[str, torch.Tensor]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                losses = inner(*args)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchronizing CUDA operation" in str(w.message) for w in caught))
        return losses

    model.forward_training = watched
    try:
        step()
    finally:
        del model.forward_training
    return counts[0]


def measure_case(
    config_file: str, case: Case, variants: list[str], args: argparse.Namespace
) -> list[dict[str, Any]]:
    """One row per detector and variant."""
    device = choose_device(args.device)
    steps = {}
    for variant in variants:
        cfg = training_config(config_file, variant, case, args.compile or "inductor", device)
        for name in (OURS, THEIRS):
            if name == OURS or variant != "recomputed":
                steps[name, variant] = training_step(name, cfg, case, args.seed, device)
    candidates = {key: step.run_step for key, step in steps.items()}
    again = "again"
    with EventStorage():  # RetinaNet writes figures into one
        seconds = time_alternating(
            {**candidates, again: candidates[OURS, PLAIN]}, args.repeats, args.warmup, device
        )
        rows = []
        for (name, variant), step in steps.items():
            timing = summarize_seconds(seconds[name, variant])
            on_gpu = device.type == "cuda" and variant != "compiled"
            stages = None
            if variant != "compiled":  # whose stages run into one another
                stages = stage_seconds(step, device, max(1, args.repeats // 4))
            rows.append(
                {
                    "config": config_file,
                    "model": name,
                    "variant": variant,
                    **case._asdict(),
                    **timing,
                    "images_per_second": 1000 * case.batch_size / timing["median_ms"],
                    "noise": relative_difference(seconds[OURS, PLAIN], seconds[again]),
                    "stages_ms": stages and {k: 1000 * v for k, v in stages.items()},
                    "working_memory_mb": peak_memory(step.run_step, device),
                    "weights_mb": sum(p.nbytes for p in step.model.parameters()) / 1e6,
                    "synchronizations": (
                        count_synchronizations(step.model, step.run_step) if on_gpu else None
                    ),
                }
            )
    for row in rows:
        theirs = median(seconds[THEIRS, PLAIN])
        row["speedup"] = theirs / median(seconds[row["model"], row["variant"]])
    return rows


def cases(args: argparse.Namespace) -> list[tuple[Case, list[str]]]:
    """What is measured, in which variants: growth is that of the plain step."""
    switches = {
        "channels last": args.channels_last,
        "compiled": args.compile,
        "recomputed": args.recompute,
    }
    variants = [PLAIN, *(name for name, is_on in switches.items() if is_on)]
    all_cases = {
        Case(precision, batch_size, size, args.faces): variants
        for size in args.sizes
        for batch_size in args.batch_sizes
        for precision in args.precisions
    }
    first = next(iter(all_cases))
    for faces in args.growth_faces:
        all_cases.setdefault(first._replace(faces=faces), [PLAIN])
    for size in args.growth_sizes:
        all_cases.setdefault(first._replace(size=size), [PLAIN])
    return list(all_cases.items())


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-files", nargs="+", default=CONFIGS, metavar="FILE")
    parser.add_argument("--sizes", type=int, nargs="+", default=[640], help="sides of the images")
    parser.add_argument("--faces", type=int, default=20, help="in every image")
    parser.add_argument(
        "--growth-faces", type=int, nargs="*", default=[], help="other numbers of faces"
    )
    parser.add_argument(
        "--growth-sizes", type=int, nargs="*", default=[], help="other sides of the images"
    )
    parser.add_argument("--channels-last", action="store_true", help="with SOLVER.CHANNELS_LAST")
    parser.add_argument(
        "--compile", nargs="?", const="inductor", metavar="BACKEND", help="with SOLVER.COMPILE"
    )
    parser.add_argument(
        "--recompute", action="store_true", help="with SOLVER.ACTIVATION_CHECKPOINTING"
    )
    add_batch_arguments(parser, batch_sizes=[8])
    add_common_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    silence_detectron2()
    torch.backends.cudnn.benchmark = True  # sizes are fixed here
    results = [
        row
        for config_file in args.config_files
        for case, variants in cases(args)
        for row in measure_case(config_file, case, variants, args)
    ]
    document = report("training", args, choose_device(args.device), results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
