#!/usr/bin/env python3
"""How much faster several processes of one machine train than one: steps a second on CPUs.

    python -m benchmarks.scaling --output output/scaling.json
    python -m benchmarks.scaling --processes 4 --batch-size 4 --repeats 20

Every process takes the Trainer's step on as many images, one thread each. In turns, one trains
alone; all train side by side, each for itself; and all train together, averaging their gradients.
The second says what they take from each other's memory and caches, the third what the exchange
costs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from torch import distributed
from torch import multiprocessing as mp

from benchmarks.common import relative_difference, report
from benchmarks.make_table import to_markdown
from benchmarks.models import annotated_batch, calibrate_untrained, random_images
from benchmarks.training import PLAIN, Case, Endless, training_config
from df2s2_d2.training.acceleration import accelerate
from df2s2_d2.training.distribution import distribute
from df2s2_d2.training.optimizer import build_sgd
from df2s2_d2.training.step import TrainingStep, build_step

ALONE, BESIDE, TOGETHER = "alone", "side by side", "together"
CPU = torch.device("cpu")


def build_training_step(args: argparse.Namespace, seed: int) -> TrainingStep:
    """The step of this process, alone or of a group, on images of its own."""
    case = Case("fp32", args.batch_size, args.size, args.faces)
    cfg = training_config(args.config_file, PLAIN, case, "", CPU)
    torch.manual_seed(args.seed)  # the same weights in all processes
    model = build_model(cfg)
    calibrate_untrained(model, random_images(2, (args.size, args.size), args.seed))
    batch = annotated_batch(args.batch_size, (args.size, args.size), args.faces, seed)
    accelerate(model, cfg)
    step = build_step(
        cfg, distribute(model, cfg), Endless(batch), build_sgd(cfg, model), average=None
    )
    # What is done every so many steps is not of every step.
    step.check_periods, step.gather_metric_period = [], 10**9
    step.iter = 0
    return step


def work(
    rank: int, world_size: int, meeting: str, args: argparse.Namespace, link: Connection
) -> None:
    """A process that takes a step whenever it is asked, and tells its processor time.

    Args:
        rank, world_size: its place in its group, which it is alone in if that is of one.
        meeting: file where the group meets.
        args: of the command line.
        link: gets True for a step and False for the end.
    """
    torch.set_num_threads(1)
    if world_size > 1:
        distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=world_size
        )
        comm.create_local_process_group(world_size)
    step = build_training_step(args, seed=args.seed + rank)
    link.send(sum(p.nbytes for p in step.model.parameters() if p.requires_grad))
    with EventStorage():
        while link.recv():
            before = time.process_time()
            step.run_step()
            link.send(time.process_time() - before)
    if world_size > 1:
        distributed.destroy_process_group()


class Workers:
    """Processes that take a step when they are asked: alone, or joined in a group.

    Args:
        count: how many.
        joined: whether they average their gradients.
        args: of the command line.
        folder: where they may meet.
    """

    def __init__(self, count: int, joined: bool, args: argparse.Namespace, folder: str):
        context = mp.get_context("spawn")
        self._links, self._processes = [], []
        for index in range(count):
            ours, theirs = context.Pipe()
            place = (index, count) if joined else (0, 1)
            process = context.Process(
                target=work, args=(*place, f"{folder}/meeting", args, theirs), daemon=True
            )
            process.start()
            theirs.close()  # else the end of a process would go unnoticed
            self._links.append(ours)
            self._processes.append(process)
        self.gradient_bytes = [link.recv() for link in self._links][0]

    def step(self, count: int) -> tuple[float, float]:
        """Let so many of them take a step at the same time.

        Returns:
            Seconds until the last was done, and of processor time of all.
        """
        started = time.perf_counter()
        for link in self._links[:count]:
            link.send(True)
        processor = sum(link.recv() for link in self._links[:count])
        return time.perf_counter() - started, processor

    def end(self) -> None:
        for link in self._links:
            link.send(False)
        for process in self._processes:
            process.join()


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Time the three kinds of steps in turns."""
    with tempfile.TemporaryDirectory() as folder:
        single = Workers(args.processes, False, args, folder)
        group = Workers(args.processes, True, args, folder)
        kinds: dict[str, Callable[[], tuple[float, float]]] = {
            ALONE: lambda: single.step(1),
            BESIDE: lambda: single.step(args.processes),
            TOGETHER: lambda: group.step(args.processes),
            "again": lambda: single.step(1),
        }
        samples: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for turn in range(args.warmup + args.repeats):
            for kind, step in kinds.items():
                sample = step()
                if turn >= args.warmup:
                    samples[kind].append(sample)
        single.end()
        group.end()
    return summarize(samples, args.processes, args.batch_size) | {
        "config": args.config_file,
        "size": args.size,
        "gradient_mb": group.gradient_bytes / 1e6,
    }


def summarize(
    samples: dict[str, list[tuple[float, float]]], processes: int, batch_size: int
) -> dict[str, Any]:
    """Images a second of every kind of step, and how they compare with a process alone.

    Args:
        samples: kind -> of each step, seconds and seconds of processor time of all processes.
        processes: that train side by side, or together.
        batch_size: images of each.
    """
    seconds = {kind: statistics.median(s for s, _ in rows) for kind, rows in samples.items()}
    rows = []
    for kind in (ALONE, BESIDE, TOGETHER):
        count = 1 if kind == ALONE else processes
        # Of the same turn, so that what the machine does besides meets both.
        ratios = [
            count * alone / own
            for (alone, _), (own, _) in zip(samples[ALONE], samples[kind], strict=True)
        ]
        images = count * batch_size
        rows.append(
            {
                "kind": kind,
                "processes": count,
                "median_ms": 1000 * seconds[kind],
                "images_per_second": images / seconds[kind],
                "speedup": statistics.median(ratios),
                "processor_ms_per_image": 1000
                * statistics.median(p for _, p in samples[kind])
                / images,
            }
        )
    noise = relative_difference(*([s for s, _ in samples[kind]] for kind in (ALONE, "again")))
    return {"rows": rows, "noise": noise, "batch_size": batch_size}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", default="configs/DF2S2/DF2S2_R50.yaml", metavar="FILE")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=2, help="images of each process")
    parser.add_argument("--size", type=int, default=320, help="side of the images")
    parser.add_argument("--faces", type=int, default=20, help="in every image")
    parser.add_argument("--repeats", type=int, default=15, help="timed turns")
    parser.add_argument("--warmup", type=int, default=2, help="turns before")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    torch.set_num_threads(1)  # as in the processes, and as the environment is described
    document = report("scaling", args, CPU, measure(args))
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
