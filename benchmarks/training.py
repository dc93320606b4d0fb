#!/usr/bin/env python3
"""Speed, memory and host synchronisations of training steps beside detectron2's RetinaNet.

    python -m benchmarks.training --output output/training.json
    python -m benchmarks.training --precisions fp32 fp16 --batch-sizes 8 32

A step is forward, losses, backward and SGD on images of the host's memory; float16 with loss
scaling, as SOLVER.AMP does it. Both detectors take their steps in turns on the same batch.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import torch
from detectron2.utils.events import EventStorage
from torch import nn

from benchmarks.common import (
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
from benchmarks.models import OURS, annotated_batch, build_pair, random_images, silence_detectron2

CONFIGS = ["configs/DF2S2/DF2S2_R50.yaml", "configs/DF2S2/small/Base-R18.yaml"]


def training_step(
    model: nn.Module, batch: list[dict], precision: str, device: torch.device
) -> Callable[[], None]:
    """A function that takes one step of SGD."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    # A rate of 0 does all the work but keeps an untrained model where it is.
    optimizer = torch.optim.SGD(parameters, lr=0.0, momentum=0.9, weight_decay=1e-4)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def step() -> None:
        with autocast(device, precision):
            loss = sum(model(batch).values())
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


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


def measure_setting(
    models: dict[str, nn.Module],
    batch: list[dict],
    precision: str,
    arguments: argparse.Namespace,
    device: torch.device,
) -> list[dict[str, Any]]:
    """One row per model for one config, precision and batch size."""
    steps = {name: training_step(model, batch, precision, device) for name, model in models.items()}
    again = f"{OURS}, again"
    with EventStorage():  # RetinaNet writes figures into one
        seconds = time_alternating(
            {**steps, again: steps[OURS]}, arguments.repeats, arguments.warmup, device
        )
        rows = []
        for name, step in steps.items():
            timing = summarize_seconds(seconds[name])
            on_gpu = device.type == "cuda"
            rows.append(
                {
                    "model": name,
                    "precision": precision,
                    "batch_size": len(batch),
                    **timing,
                    "images_per_second": 1000 * len(batch) / timing["median_ms"],
                    "noise": relative_difference(seconds[OURS], seconds[again]),
                    "working_memory_mb": peak_memory(step, device),
                    "weights_mb": sum(p.nbytes for p in models[name].parameters()) / 1e6,
                    "synchronizations": (
                        count_synchronizations(models[name], step) if on_gpu else None
                    ),
                }
            )
    return rows


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-files", nargs="+", default=CONFIGS, metavar="FILE")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(640, 640), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--faces", type=int, default=20, help="in every image")
    add_batch_arguments(parser, batch_sizes=[8])
    add_common_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    silence_detectron2()
    device = choose_device(args.device)
    torch.backends.cudnn.benchmark = True  # sizes are fixed here
    results = []
    for config_file in args.config_files:
        torch.manual_seed(args.seed)
        calibration = random_images(2, tuple(args.size), args.seed)
        models = build_pair(config_file, calibration, device)
        for batch_size in args.batch_sizes:
            batch = annotated_batch(batch_size, tuple(args.size), args.faces, args.seed)
            for precision in args.precisions:
                rows = measure_setting(models, batch, precision, args, device)
                results += [{"config": config_file, **row} for row in rows]
        del models
    document = report("training", args, device, results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
