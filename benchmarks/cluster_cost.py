#!/usr/bin/env python3
"""What the papers' schedules cost, from measured steps: docs/cluster_cost.md.

    python -m benchmarks.cluster_cost                  # write the page
    python -m benchmarks.cluster_cost --print --teraflops 100

A training image costs three times the operations of inference at the size that the config trains
on. What a device does in a second is measured (benchmarks/results/training_gpu.json, else the
processor of training_cpu.json); without a GPU's figures, its column is by the assumed --teraflops.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from benchmarks.make_table import RESULTS
from benchmarks.models import OURS
from df2s2_d2 import load_config
from df2s2_d2.tables.index import read_tables
from df2s2_d2.tables.markdown import markdown_table

PAGE = RESULTS.parents[1] / "docs/cluster_cost.md"
GPUS = (1, 4, 8)
# Forward, and backward for the maps and for the weights; a multiplication and an addition each.
_OPERATIONS_PER_MAC = 3 * 2
# Width / height of photographs that are trained on whole.
_ASPECT = 4 / 3


@dataclass(frozen=True)
class Speed:
    """What was measured of training steps, or is assumed of them.

    Attributes:
        name: of the device.
        operations: a second, of one device.
        bytes_per_operation: working memory of a step by the operations of it; None if unknown.
    """

    name: str
    operations: float
    bytes_per_operation: float | None = None


def training_pixels(cfg: CfgNode) -> float:
    """Pixels of an image as a config trains on it."""
    if cfg.INPUT.RESIZE_SQUARE_TRAIN:
        return cfg.INPUT.RESIZE_SQUARE_TRAIN**2
    sides = cfg.INPUT.MIN_SIZE_TRAIN
    return sum(side**2 for side in sides) / len(sides) * _ASPECT


def measured_speed(document: dict[str, Any], operations: dict[str, float]) -> Speed:
    """Of the fastest step of the face detector in a file of ``benchmarks.training``.

    Args:
        document: the file.
        operations: of a training pixel, by config.
    """
    rows = [row for row in document["results"] if row["model"] == OURS]
    best = max(rows, key=lambda row: row["images_per_second"] * row["size"] ** 2)
    image = operations[best["config"].removeprefix("configs/")] * best["size"] ** 2
    environment = document["environment"]
    threads = environment["cpu_threads"]
    is_cpu = environment["device_type"] == "cpu"
    memory = best["working_memory_mb"]
    return Speed(
        environment["device"] + (f", {threads} threads" if is_cpu else ""),
        best["images_per_second"] * image,
        memory and memory * 1e6 / (best["batch_size"] * image),
    )


def page(results: Path = RESULTS, teraflops: float = 50.0) -> str:
    """The text of the page.

    Args:
        results: folder of the files.
        teraflops: that a GPU is assumed to keep up, in 10^12 operations a second.
    """
    complexity = _read(results / "complexity.json")
    pixels = complexity["settings"]["height"] * complexity["settings"]["width"]
    counts = {f"{row['config']}.yaml": row for row in complexity["results"]}
    per_pixel = {c: r["macs"] * _OPERATIONS_PER_MAC / pixels for c, r in counts.items()}
    cpu = measured_speed(_read(results / "training_cpu.json"), per_pixel)
    gpu_file = results / "training_gpu.json"
    gpu = Speed(f"a GPU that is assumed to keep up {teraflops:g} TFLOP/s", teraflops * 1e12)
    if gpu_file.is_file():
        gpu = measured_speed(_read(gpu_file), per_pixel)
    core = next(
        row["images_per_second"]
        for row in _read(results / "input_pipeline.json")["results"]
        if row["mapper"] == OURS
    )
    header = ["config", "steps x images", "TFLOP an image", f"days, {cpu.name}"]
    header += [f"hours, {n} GPU{'s' * (n > 1)}" for n in GPUS]
    header += ["GB of 4 GPUs", "images/s of 8", "cores to feed 8"]
    rows = []
    for config in _trained_configs():
        cfg = load_config(config)
        solver = cfg.SOLVER
        image = per_pixel[config] * training_pixels(cfg)
        total = image * solver.MAX_ITER * solver.IMS_PER_BATCH
        of_eight = GPUS[-1] * gpu.operations / image
        memory = gpu.bytes_per_operation or cpu.bytes_per_operation
        # Weights, gradients and momentum in float32, and the maps of a quarter of the batch.
        held = counts[config]["parameters"] * 4 * 3
        gigabytes = memory and (held + memory * image * solver.IMS_PER_BATCH / 4) / 1e9
        rows.append(
            [
                f"`{config.removesuffix('.yaml')}`",
                f"{solver.MAX_ITER:,} x {solver.IMS_PER_BATCH}",
                f"{image / 1e12:.2f}",
                f"{total / cpu.operations / 86400:,.0f}",
                *(f"{total / gpu.operations / 3600 / n:.1f}" for n in GPUS),
                gigabytes and f"{gigabytes:.0f}",
                f"{of_eight:.0f}",
                math.ceil(of_eight / core),
            ]
        )
    return "\n".join([*_introduction(cpu, gpu, core), markdown_table(header, rows), ""])


def _introduction(cpu: Speed, gpu: Speed, core: float) -> list[str]:
    return [
        "# What the papers' schedules cost",
        "",
        "Made by `python -m benchmarks.cluster_cost`, `--teraflops` of another GPU, from the steps",
        "that `python -m benchmarks.training` has measured, the operations of each config",
        "(`python -m benchmarks.complexity`) and the images that a core reads and augments",
        "(`python -m benchmarks.input_pipeline`).",
        "",
        f"- Processor, measured: {cpu.name}, {cpu.operations / 1e9:.0f} GFLOP/s in a whole step.",
        f"- GPU: {gpu.name}. Several divide the time evenly: what they wait for each other, and",
        "  for images, comes on top.",
        f"- A core reads {core:.0f} images a second.",
        "- A training image takes three times the operations of inference; photographs that are",
        "  trained on whole are taken for 4 : 3. Memory is that of weights, gradients, momentum in",
        "  float32 and of the maps of a quarter of the batch, by the working memory of measured",
        "  steps; mixed precision, `SOLVER.ACCUMULATE` and `SOLVER.ACTIVATION_CHECKPOINTING`",
        "  take less.",
        "- A test is not counted; that of one scale takes a few minutes.",
        "",
    ]


def _trained_configs() -> list[str]:
    """The configs of all rows of the papers' tables, each once."""
    rows = (row for table in read_tables().values() for row in table.trained_rows)
    return sorted({row.config for row in rows})


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teraflops", type=float, default=50.0, help="of the assumed GPU")
    parser.add_argument("--print", action="store_true", help="instead of writing the page")
    args = parser.parse_args(arguments)
    text = page(teraflops=args.teraflops)
    if args.print:
        print(text, end="")
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
