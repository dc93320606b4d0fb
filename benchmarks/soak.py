#!/usr/bin/env python3
"""A long training that is disturbed again and again, beside the same training left alone.

    python -m benchmarks.soak --output output/soak.json

Both train a small detector on drawn pictures, among which are broken files, boxes without area and
pictures without faces. The disturbed one is killed twice (SIGKILL), is asked once to stop
(SIGTERM), and once gets losses that are not numbers; each time it is started again with
``--resume``. At the end, the losses and the images of every step are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import report
from benchmarks.make_table import to_markdown

ROOT = Path(__file__).resolve().parents[1]
BROKEN_EVERY, AREALESS_EVERY = 15, 7  # of the training images

# By what ends a start: nothing but the last step, or a fault.
EXIT_CODES = {"": 0, "SIGKILL": -9, "SIGTERM": 143, "NaN": 1}

# A detector that takes about a tenth of a second a step.
TINY = {
    "MODEL.DEVICE": "cpu",
    "MODEL.RESNETS.DEPTH": 50,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 16,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    "MODEL.FFP.OUT_CHANNELS": 16,
    "MODEL.SHOT.HEAD.CONV_DIM": 16,
    "MODEL.SHOT.HEAD.NUM_CONVS": 1,
    "MODEL.SHOT.HEAD.NORM": "",
    "INPUT.RESIZE_SQUARE_TRAIN": 128,
    "INPUT.PHOTOMETRIC_DISTORTION": True,
    "INPUT.MIN_SIZE_TEST": 128,
    "TEST.AUG.ENABLED": False,
    "DATALOADER.SKIP_BROKEN_IMAGES": True,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.BASE_LR": 0.001,
    "SOLVER.CHECKPOINT_KEEP": 2,
    "SEED": 7,
}


def draw_data(folder: Path, num_train: int, image_size: int) -> Path:
    """Draw a data set, then break some of its files and some of its boxes."""
    script = [sys.executable, str(ROOT / "datasets/make_sample_dataset.py"), "--output", folder]
    sizes = ["--num-train", num_train, "--num-val", 10, "--num-test", 1, "--image-size", image_size]
    subprocess.run(list(map(str, [*script, *sizes, "--seed", 3])), check=True, capture_output=True)
    base = folder / "wider_face"
    for path in sorted((base / "WIDER_train/images").rglob("*.jpg"))[::BROKEN_EVERY]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    text = base / "wider_face_split/wider_face_train_bbx_gt.txt"
    lines, boxes = text.read_text().splitlines(), 0
    for number, line in enumerate(lines):
        fields = line.split()
        if len(fields) == 10 and any(map(float, fields)):
            boxes += 1
            if boxes % AREALESS_EVERY == 0:
                lines[number] = " ".join([*fields[:2], "0", *fields[3:]])
    text.write_text("\n".join(lines) + "\n")
    return folder


def options_of(folder: Path, iterations: int, workers: int) -> list[str]:
    """train_net.py's command line; the schedule and the tests fit any number of iterations."""
    overrides = TINY | {
        "OUTPUT_DIR": folder,
        "SOLVER.MAX_ITER": iterations,
        "SOLVER.CHECKPOINT_PERIOD": max(1, iterations // 40),
        "SOLVER.WARMUP_ITERS": iterations // 20,
        "TEST.EVAL_PERIOD": max(1, iterations // 4),
        "DATALOADER.NUM_WORKERS": workers,
    }
    pairs = [str(part) for pair in overrides.items() for part in pair]
    return ["--resume", "--config-file", str(ROOT / "configs/DF2S2/small/demo_R18.yaml"), *pairs]


def read_steps(path: Path) -> dict[int, dict[str, Any]]:
    """Step -> its last row; a row that a killed process left half written is passed over."""
    steps = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        steps[row["step"]] = row
    return steps


def draw_moments(count: int, iterations: int, seed: int) -> list[int]:
    """Random steps at which a run is disturbed, each in a part of the run of its own."""
    shares = (np.arange(count) + np.random.default_rng(seed).uniform(0.2, 0.8, count)) / count
    return (shares * iterations).astype(int).tolist()


class Run:
    """A training in a folder of its own, started as often as it takes."""

    def __init__(self, folder: Path, data: Path, iterations: int, workers: int):
        folder.mkdir()
        self.steps_file = folder / "steps.jsonl"
        self._folder, self._data = folder, data
        self._options = options_of(folder / "output", iterations, workers)
        self.starts: list[dict[str, Any]] = []

    def start(self, ends: str = "", at: int = -1) -> None:
        """Start it once and wait until it ends, by itself or by what is done to it.

        Args:
            ends: "SIGKILL" or "SIGTERM" is sent to it once step `at` is done; "NaN" is its loss
                there; "" lets it run.
        """
        nan_at = at if ends == "NaN" else -1
        worker = ["-m", "benchmarks.soak_worker", str(self.steps_file), str(nan_at)]
        environment = {**os.environ, "DETECTRON2_DATASETS": str(self._data), "OMP_NUM_THREADS": "1"}
        size_before = self._size()
        with (self._folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *worker, *self._options],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
            if ends.startswith("SIG"):
                while process.poll() is None and not self._has_passed(at, size_before):
                    time.sleep(0.2)
                process.send_signal(signal.Signals[ends])
            code = process.wait()
        if code != EXIT_CODES[ends]:
            lines = (self._folder / "log.txt").read_text(errors="replace").splitlines()
            raise RuntimeError(f"Ended with code {code}:\n" + "\n".join(lines[-30:]))
        self.starts.append({"ended_by": ends or "the last step", "at": at, "exit_code": code})

    def _size(self) -> int:
        return self.steps_file.stat().st_size if self.steps_file.is_file() else 0

    def _has_passed(self, step: int, size_before: int) -> bool:
        """Whether this start has taken steps, and ``step`` is among those that are done."""
        return self._size() > size_before and max(read_steps(self.steps_file)) >= step

    def metrics(self) -> list[dict[str, float]]:
        """The records of its metrics.json."""
        text = (self._folder / "output/metrics.json").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def summarize(run: Run) -> dict[str, Any]:
    """Counts, memory and figures of a run that is done."""
    steps = read_steps(run.steps_file)
    written = len(run.steps_file.read_text(encoding="utf-8").splitlines())
    memory = [steps[step]["memory_mb"] for step in sorted(steps)]
    tenth = max(1, len(memory) // 10)
    return {
        "starts": run.starts,
        "steps": len(steps),
        "steps_taken_again": written - len(steps),
        "images": sum(len(row["images"]) for row in steps.values()),
        "faces": sum(row["faces"] for row in steps.values()),
        "faceless_images": sum(row["faceless"] for row in steps.values()),
        "broken_images": steps[max(steps)]["broken"],
        # A process needs a while to get all the memory that it will hold.
        "memory_mb": {
            "after_a_tenth": statistics.median(memory[tenth : 2 * tenth]),
            "at_the_end": statistics.median(memory[-tenth:]),
        },
        "figures": {name: value for name, value in run.metrics()[-1].items() if "/AP" in name},
    }


def compare(disturbed: Run, alone: Run) -> dict[str, Any]:
    """How far a disturbed run is from the one that was left alone, over all steps."""
    steps, expected = read_steps(disturbed.steps_file), read_steps(alone.steps_file)
    common = steps.keys() & expected.keys()
    return {
        "steps_in_one_only": len(steps.keys() ^ expected.keys()),
        "steps_with_other_images": sum(
            steps[step]["images"] != expected[step]["images"] for step in common
        ),
        "largest_difference_of_loss": max(
            abs(steps[step]["loss"] - expected[step]["loss"]) for step in common
        ),
    }


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--train-images", type=int, default=200)
    parser.add_argument("--image-size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--workers", type=int, default=1, help="processes that load images")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the faults")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    faults = ["SIGKILL", "NaN", "SIGTERM", "SIGKILL"]
    moments = draw_moments(len(faults), args.iterations, args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = draw_data(folder / "data", args.train_images, args.image_size)
        alone = Run(folder / "alone", data, args.iterations, args.workers)
        alone.start()
        disturbed = Run(folder / "disturbed", data, args.iterations, args.workers)
        for fault, moment in zip(faults, moments, strict=True):
            disturbed.start(fault, moment)
        disturbed.start()
        results = {
            "alone": summarize(alone),
            "disturbed": summarize(disturbed),
            "differences": compare(disturbed, alone),
        }
    document = report("soak", args, torch.device("cpu"), results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
