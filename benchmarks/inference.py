#!/usr/bin/env python3
"""Latency, throughput and memory of inference beside detectron2's RetinaNet.

    python -m benchmarks.inference --output output/inference.json
    python -m benchmarks.inference --setting configs/DF2S2/DF2S2_R50.yaml 512 640 \\
        --precisions fp32 bf16 fp16 --batch-sizes 1 8 32

The detector as it is, its fast path, and a RetinaNet with its bottom-up network and levels are
timed in turns on the same images, from host images to boxes. So that NMS has equal work, each
model's score threshold is set to the score of its --candidates-th best anchor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median
from typing import Any
from unittest import mock

import detectron2.modeling.meta_arch.retinanet as retinanet_module
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import df2s2_d2.modeling.postprocessing as postprocessing_module
from benchmarks.common import (
    add_batch_arguments,
    add_common_arguments,
    autocast,
    choose_device,
    peak_memory,
    relative_difference,
    report,
    summarize_seconds,
    synchronize,
    time_alternating,
)
from benchmarks.make_table import to_markdown
from benchmarks.models import OURS, THEIRS, build_pair, random_images, silence_detectron2
from df2s2_d2.inference.fast_path import FastFaceDetector, optimize
from df2s2_d2.modeling import FaceDetector

SETTINGS = (
    ("configs/DF2S2/DF2S2_R50.yaml", 512, 640),
    ("configs/DSFD/DSFD_R50.yaml", 480, 640),
)
STAGES = ("preprocessing", "network", "postprocessing")

FAST = f"{OURS}, fast path"
COMPILED = f"{FAST}, compiled"


class StageTimer:
    """Time of the stages of one forward pass.

    The network's share is all until NMS in a face detector; in RetinaNet, which chooses candidates
    level by level behind its head, all until there.
    """

    def __init__(self, model: nn.Module, device: torch.device):
        self.device = device
        self.marks: list[Any] = []
        self.model = model
        self.wrapped = ["preprocess_image"]
        self.hooks = []
        if isinstance(model, FaceDetector):
            self.wrapped.append("candidates")
        else:
            self.hooks.append(model.head.register_forward_hook(self._mark))
        for name in self.wrapped:
            setattr(model, name, partial(self._call, getattr(model, name)))

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        result = function(*args)
        self._mark()
        return result

    def _mark(self, *_: Any) -> None:
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(_HostMark())

    def time(self, run: Callable[[], Any]) -> dict[str, float]:
        """Milliseconds of each stage of one call; a GPU's own time, gaps between kernels too."""
        self.marks.clear()
        self._mark()
        run()
        self._mark()
        synchronize(self.device)
        pairs = zip(self.marks, self.marks[1:], strict=False)
        stages = [start.elapsed_time(end) for start, end in pairs]
        return dict(zip(STAGES, stages, strict=True))

    def remove(self) -> None:
        """Leave the model as it was."""
        for name in self.wrapped:
            delattr(self.model, name)
        for hook in self.hooks:
            hook.remove()


class _HostMark:
    """A moment on the host's clock with the interface of a CUDA event."""

    def __init__(self) -> None:
        self.seconds = time.perf_counter()

    def elapsed_time(self, end: _HostMark) -> float:
        return 1000 * (end.seconds - self.seconds)


@contextmanager
def count_nms_inputs() -> Iterator[list[int]]:
    """Collect how many boxes each call of NMS gets, in either model."""
    counts: list[int] = []
    with ExitStack() as stack:
        for module in (postprocessing_module, retinanet_module):
            original = module.batched_nms

            def counting(boxes: Tensor, *args: Any, original: Any = original) -> Tensor:
                counts.append(len(boxes))
                return original(boxes, *args)

            stack.enter_context(mock.patch.object(module, "batched_nms", counting))
        yield counts


def find_score_threshold(model: nn.Module, inputs: list[dict], candidates: int) -> float:
    """The threshold that as near to ``candidates`` boxes per image as ties allow pass."""
    images = model.preprocess_image(inputs)
    if isinstance(model, FaceDetector):
        sizes = torch.tensor(images.image_sizes, device=model.device)
        scores = model.candidates(images.tensor, sizes)[1].flatten()
    else:
        # RetinaNet scores in the precision of its logits.
        features = model.backbone(images.tensor)
        logits, _ = model.head([features[name] for name in model.head_in_features])
        scores = torch.cat([x.sigmoid().flatten() for x in logits])
    wanted = min(candidates * len(inputs), len(scores) - 1)
    last = scores.topk(wanted).values[-1]
    too_few = wanted - (scores > last).sum()
    too_many = (scores >= last).sum() - wanted
    if too_many <= too_few:
        last = scores[scores < last].max()
    return last.item()


def set_score_threshold(model: nn.Module, threshold: float) -> None:
    """Let only boxes with higher scores enter NMS."""
    is_ours = isinstance(model, FaceDetector)
    setattr(model, "score_threshold" if is_ours else "test_score_thresh", threshold)


def build_candidates(
    config_file: str, images: list[Tensor], arguments: argparse.Namespace, device: torch.device
) -> dict[tuple[str, str], nn.Module]:
    """Models by name and precision: plain ones in mixed precision, fast ones wholly in it."""
    pair = build_pair(
        config_file, images[:2], device, arguments.weights, arguments.retinanet_weights
    )
    for model in pair.values():
        model.eval()
    pair[OURS].num_candidates = pair[THEIRS].test_topk_candidates = 2 * arguments.candidates
    models = {(THEIRS, "fp32"): pair[THEIRS]}  # first, as what the others are compared with
    for precision in arguments.precisions:
        models[THEIRS, precision] = pair[THEIRS]
        models[OURS, precision] = pair[OURS]
        models[FAST, precision] = optimize(pair[OURS], precision)
        if arguments.compile:
            models[COMPILED, precision] = optimize(pair[OURS], precision, compile=True)
    return models


@torch.inference_mode()
def measure_batch(
    models: dict[tuple[str, str], nn.Module],
    inputs: list[dict],
    arguments: argparse.Namespace,
    device: torch.device,
) -> list[dict[str, Any]]:
    """One row per model and precision for one batch."""

    def runner(name: str, precision: str) -> Callable[[], list[dict]]:
        model = models[name, precision]
        mixed = precision if name in (OURS, THEIRS) else "fp32"
        with autocast(device, mixed):
            threshold = find_score_threshold(model, inputs, arguments.candidates)

        def run() -> list[dict]:
            set_score_threshold(model, threshold)
            with autocast(device, mixed):
                return model(inputs)

        return run

    runs = {key: runner(*key) for key in models}
    seconds = time_alternating(
        {**runs, "again": runs[THEIRS, "fp32"]}, arguments.repeats, arguments.warmup, device
    )
    noise = relative_difference(seconds[THEIRS, "fp32"], seconds["again"])
    reference = median(seconds[THEIRS, "fp32"])
    rows = []
    for (name, precision), run in runs.items():
        with count_nms_inputs() as counts:
            detections = [len(output["instances"]) for output in run()]
        timing = summarize_seconds(seconds[name, precision])
        rows.append(
            {
                "model": name,
                "precision": precision,
                "batch_size": len(inputs),
                **timing,
                "images_per_second": 1000 * len(inputs) / timing["median_ms"],
                "speedup": reference / median(seconds[name, precision]),
                "noise": noise,
                "stages_ms": time_stages(models[name, precision], run, arguments.repeats, device),
                "nms_inputs_per_image": sum(counts) / len(inputs),
                "detections_per_image": sum(detections) / len(inputs),
                "working_memory_mb": memory_of(models[name, precision], run, device),
                "weights_mb": weights_mb(models[name, precision]),
                "operators_ms": slowest_operators(run, device),
            }
        )
    return rows


def time_stages(
    model: nn.Module, run: Callable[[], Any], repeats: int, device: torch.device
) -> dict[str, float]:
    """Median milliseconds of each of :data:`STAGES`."""
    timer = StageTimer(model, device)
    stages = [timer.time(run) for _ in range(repeats)]
    timer.remove()
    return {stage: median(times[stage] for times in stages) for stage in STAGES}


def slowest_operators(
    run: Callable[[], Any], device: torch.device, count: int = 8
) -> dict[str, float]:
    """Milliseconds of one call by operator, on a GPU by kernel; the slowest ones."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA][: 2 if on_gpu else 1]
    with profile(activities=activities) as profiler:
        run()
        synchronize(device)
    times = {
        event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1000
        for event in profiler.key_averages()
    }
    slowest = sorted(times.items(), key=lambda item: -item[1])[:count]
    return {name: milliseconds for name, milliseconds in slowest if milliseconds > 0}


def memory_of(model: nn.Module, run: Callable[[], Any], device: torch.device) -> float | None:
    """:func:`peak_memory` of one call; without CUDA graphs, which hold theirs between calls."""
    with ExitStack() as stack:
        if isinstance(model, FastFaceDetector):
            stack.enter_context(mock.patch.object(model, "graphs", None))
        return peak_memory(run, device)


def weights_mb(model: nn.Module) -> float:
    """MB (10^6 bytes) of parameters and of transformed weights."""
    return sum(x.nbytes for x in (*model.parameters(), *model.buffers())) / 1e6


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--setting",
        dest="settings",
        action="append",
        nargs=3,
        metavar=("CONFIG", "HEIGHT", "WIDTH"),
        help="a config and the size of its images; may be repeated "
        f"({'; '.join(' '.join(map(str, setting)) for setting in SETTINGS)})",
    )
    parser.add_argument("--weights", default="", metavar="FILE", help="of the config's model")
    parser.add_argument("--retinanet-weights", default="", metavar="FILE")
    parser.add_argument("--compile", action="store_true", help="the fast path compiled, too")
    parser.add_argument(
        "--candidates", type=int, default=1000, help="boxes per image that shall enter NMS"
    )
    add_batch_arguments(parser, batch_sizes=[1, 8])
    add_common_arguments(parser)
    args = parser.parse_args(arguments)
    args.settings = [(c, int(height), int(width)) for c, height, width in args.settings or SETTINGS]
    return args


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    silence_detectron2()
    device = choose_device(args.device)
    torch.backends.cudnn.benchmark = True  # sizes are fixed here
    results = []
    for config_file, height, width in args.settings:
        torch.manual_seed(args.seed)
        images = random_images(max(2, *args.batch_sizes), (height, width), args.seed)
        models = build_candidates(config_file, images, args, device)
        for batch_size in args.batch_sizes:
            inputs = [{"image": image} for image in images[:batch_size]]
            rows = measure_batch(models, inputs, args, device)
            results += [{"config": config_file, "size": [height, width], **row} for row in rows]
        del models
    document = report("inference", args, device, results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
