#!/usr/bin/env python3
"""Whether detectors run at all: a training step and an image in every precision, compiled and not.

    python -m benchmarks.first_steps --output output/first_steps.json

Nothing is timed in turns here; each attempt stands for itself, and the traceback of one that fails
is written down while the others go on. Exits with 1 if any failed.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from benchmarks.common import (
    AUTOCAST_TYPES,
    add_common_arguments,
    autocast,
    choose_device,
    report,
    synchronize,
)
from benchmarks.make_table import to_markdown
from benchmarks.models import OURS, random_images, silence_detectron2
from benchmarks.training import PLAIN, Case, training_config, training_step
from df2s2_d2 import load_config
from df2s2_d2.inference.fast_path import optimize
from df2s2_d2.modeling.multi_scale import BoundedDetector

CONFIGS = [
    "configs/DF2S2/DF2S2_R50.yaml",
    "configs/DSFD/DSFD_R50.yaml",
    "configs/DF2S2/DF2S2_R50_PAL.yaml",
]
_FACES = 5


def attempts(
    config_file: str, size: int, batch_size: int, precisions: list[str], device: torch.device
) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is tried with a config, by name."""
    for precision in precisions:
        case = Case(precision, batch_size, size, _FACES)
        for variant in (PLAIN, "channels last", "compiled"):
            yield (
                f"step, {precision}, {variant}",
                partial(_step, config_file, variant, case, device),
            )
        for path in ("plain", "fast path", "fast path, compiled"):
            yield (
                f"image, {precision}, {path}",
                partial(_image, config_file, path, precision, size, device),
            )
    yield "image, several scales", partial(_several_scales, config_file, size, device)


def _step(config_file: str, variant: str, case: Case, device: torch.device) -> None:
    cfg = training_config(config_file, variant, case, "inductor", device)
    step = training_step(OURS, cfg, case, 0, device)
    with EventStorage():
        for _ in range(2):  # the second with momentum, and with what was compiled
            step.run_step()
            step.iter += 1
    bad = [n for n, p in step.model.named_parameters() if not p.isfinite().all()]
    if bad:
        raise FloatingPointError(f"not finite after two steps: {', '.join(bad[:5])}")


@torch.inference_mode()
def _image(config_file: str, path: str, precision: str, size: int, device: torch.device) -> None:
    model = build_model(load_config(config_file, ["MODEL.DEVICE", str(device)])).eval()
    if path != "plain":
        model = optimize(model, precision, compile=path.endswith("compiled"))
    inputs = [{"image": image} for image in random_images(2, (size, size), 0)]
    with autocast(device, precision if path == "plain" else "fp32"):
        for images in (inputs, inputs[:1]):
            for output in model(images):
                _check(output)


@torch.inference_mode()
def _several_scales(config_file: str, size: int, device: torch.device) -> None:
    scales = [{"FACTOR": 1.0, "FLIP": True}, {"FACTOR": 0.5, "MIN_FACE": 30}]
    keys = ["MODEL.DEVICE", str(device), "TEST.AUG.ENABLED", True, "TEST.AUG.SCALES", scales]
    cfg = load_config(config_file, keys)
    detector = BoundedDetector(cfg, build_model(cfg).eval())
    (image,) = random_images(1, (size, size), 0)
    (output,) = detector([{"image": image, "height": size, "width": size}])
    _check(output)


def _check(output: dict[str, Any]) -> None:
    if not output["instances"].pred_boxes.tensor.isfinite().all():
        raise FloatingPointError("boxes are not finite")


def attempt(function: Callable[[], None], device: torch.device) -> dict[str, Any]:
    """Seconds that it took, and the traceback if it failed; compilation starts from nothing."""
    torch.compiler.reset()
    started = time.perf_counter()
    error = None
    try:
        function()
        synchronize(device)
    except Exception:  # whatever it is, it is what has to be known
        error = traceback.format_exc()
    return {"seconds": time.perf_counter() - started, "error": error}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-files", nargs="+", default=CONFIGS, metavar="FILE")
    parser.add_argument("--size", type=int, default=320, help="side of the images")
    parser.add_argument("--batch-size", type=int, default=2, help="of training steps")
    parser.add_argument(
        "--precisions", nargs="+", default=list(AUTOCAST_TYPES), choices=list(AUTOCAST_TYPES)
    )
    add_common_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written.

    Raises:
        SystemExit: if something failed, after all has been written.
    """
    args = parse_arguments(arguments)
    silence_detectron2()
    device = choose_device(args.device)
    results = []
    for config_file in args.config_files:
        for name, function in attempts(
            config_file, args.size, args.batch_size, args.precisions, device
        ):
            results.append({"config": config_file, "what": name, **attempt(function, device)})
            # After each, in case the next one takes all the time that there is.
            document = report("first_steps", args, device, results)
    print(to_markdown(document))
    errors = [row["error"] for row in results if row["error"]]
    if errors:
        print("\n".join(errors))
        sys.exit(f"{len(errors)} of {len(results)} attempts failed")
    return document


if __name__ == "__main__":
    main()
