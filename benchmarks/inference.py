#!/usr/bin/env python3
"""Latency, throughput and memory of inference beside detectron2's RetinaNet.

    python -m benchmarks.inference --output output/inference.json
    python -m benchmarks.inference --precisions fp32 bf16 fp16 --batch-sizes 1 8 32

Both detectors are timed in turns on the same images, from host images to boxes. So that NMS has
equal work, each model's score threshold is set to the score of its --candidates-th best anchor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any
from unittest import mock

import detectron2.modeling.meta_arch.retinanet as retinanet_module
import torch
from torch import Tensor, nn

import df2s2_d2.modeling.postprocessing as postprocessing_module
from benchmarks.common import (
    AUTOCAST_TYPES,
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
from benchmarks.models import OURS, build_pair, random_images, silence_detectron2
from df2s2_d2.modeling import FaceDetector

STAGES = ("preprocessing", "bottom_up", "neck", "head", "postprocessing")


class StageTimer:
    """Time of the stages of one forward pass, from hooks on modules that both models have."""

    def __init__(self, model: nn.Module, device: torch.device):
        self.device = device
        self.marks: list[Any] = []
        bottom_up = model.backbone.bottom_up
        self.hooks = [
            bottom_up.register_forward_pre_hook(self._mark),
            bottom_up.register_forward_hook(self._mark),
            model.backbone.register_forward_hook(self._mark),
            model.head.register_forward_hook(self._mark),
        ]

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
        """Take the hooks off the model."""
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


@torch.no_grad()
def set_score_threshold(model: nn.Module, inputs: list[dict], candidates: int) -> None:
    """Let as near to ``candidates`` boxes per image as ties allow pass the score threshold."""
    images = model.preprocess_image(inputs)
    features = model.backbone(images.tensor)
    ours = isinstance(model, FaceDetector)
    if ours:
        sizes = torch.tensor(images.image_sizes, device=model.device)
        _, scores = model.shot.candidates(model.shot(features), sizes, 2 * candidates)
    else:
        # RetinaNet scores in the precision of its logits.
        logits, _ = model.head([features[name] for name in model.head_in_features])
        scores = [x.sigmoid() for x in logits]
    scores = torch.cat([x.flatten() for x in scores])
    wanted = min(candidates * len(inputs), len(scores) - 1)
    last = scores.topk(wanted).values[-1]
    too_few = wanted - (scores > last).sum()
    too_many = (scores >= last).sum() - wanted
    if too_many <= too_few:
        last = scores[scores < last].max()
    if ours:
        model.score_threshold, model.num_candidates = last.item(), 2 * candidates
    else:
        model.test_score_thresh, model.test_topk_candidates = last.item(), 2 * candidates


@torch.no_grad()
def measure_setting(
    models: dict[str, nn.Module],
    inputs: list[dict],
    precision: str,
    arguments: argparse.Namespace,
    device: torch.device,
) -> list[dict[str, Any]]:
    """One row per model for one precision and batch size."""

    def runner(model: nn.Module) -> Callable[[], list[dict]]:
        def run() -> list[dict]:
            with autocast(device, precision):
                return model(inputs)

        return run

    runs = {name: runner(model) for name, model in models.items()}
    for model in models.values():
        with autocast(device, precision):
            set_score_threshold(model, inputs, arguments.candidates)
    again = f"{OURS}, again"
    seconds = time_alternating(
        {**runs, again: runs[OURS]}, arguments.repeats, arguments.warmup, device
    )
    noise = relative_difference(seconds[OURS], seconds[again])
    rows = []
    for name, run in runs.items():
        with count_nms_inputs() as counts:
            detections = [len(output["instances"]) for output in run()]
        timer = StageTimer(models[name], device)
        stages = [timer.time(run) for _ in range(arguments.repeats)]
        timer.remove()
        timing = summarize_seconds(seconds[name])
        rows.append(
            {
                "model": name,
                "precision": precision,
                "batch_size": len(inputs),
                **timing,
                "images_per_second": 1000 * len(inputs) / timing["median_ms"],
                "noise": noise,
                "stages_ms": {stage: median(s[stage] for s in stages) for stage in STAGES},
                "nms_inputs_per_image": sum(counts) / len(inputs),
                "detections_per_image": sum(detections) / len(inputs),
                "working_memory_mb": peak_memory(run, device),
                "weights_mb": sum(p.nbytes for p in models[name].parameters()) / 1e6,
            }
        )
    return rows


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", default="configs/DF2S2/DF2S2_R50.yaml", metavar="FILE")
    parser.add_argument("--weights", default="", metavar="FILE", help="of the config's model")
    parser.add_argument("--retinanet-weights", default="", metavar="FILE")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(512, 640), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument(
        "--precisions", nargs="+", default=["fp32"], choices=list(AUTOCAST_TYPES), metavar="NAME"
    )
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument(
        "--candidates", type=int, default=1000, help="boxes per image that shall enter NMS"
    )
    add_common_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    silence_detectron2()
    device = choose_device(args.device)
    torch.backends.cudnn.benchmark = True  # sizes are fixed here
    torch.manual_seed(args.seed)
    images = random_images(max(args.batch_sizes), tuple(args.size), args.seed)
    models = build_pair(args.config_file, images[:2], device, args.weights, args.retinanet_weights)
    for model in models.values():
        model.eval()
        if args.channels_last:
            model.to(memory_format=torch.channels_last)
    results = []
    for batch_size in args.batch_sizes:
        inputs = [{"image": image} for image in images[:batch_size]]
        for precision in args.precisions:
            results += measure_setting(models, inputs, precision, args, device)
    document = report("inference", args, device, results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
