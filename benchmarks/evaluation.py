#!/usr/bin/env python3
"""Time and memory of scoring detections: by WIDER FACE beside loops as in its tools, and by FDDB.

    python -m benchmarks.evaluation --output output/evaluation.json
    python -m benchmarks.evaluation --ground-truth eval_tools/ground_truth

Without the official ground truth, faces are drawn at random: as many, in as many images. Detections
are faces shifted at random and boxes on nothing. Seconds are those of the processor, since all of
it runs on one core; memory is what a call takes on top of the detections (40 bytes each).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import choose_device, report
from benchmarks.make_table import to_markdown
from benchmarks.wider_face_loops import evaluate_by_loops
from df2s2_d2.evaluation import (
    GroundTruth,
    evaluate_wider_face,
    load_ground_truth,
    read_detections,
)
from df2s2_d2.evaluation.coco_ap import coco_average_precision
from df2s2_d2.evaluation.fddb import evaluate_fddb

ROOT = Path(__file__).resolve().parents[1]
# Of the official validation images; sizes are log-normal around 14 pixels.
NUM_IMAGES, NUM_FACES = 3226, 39708
SHARE_ON_FACES = 0.5


def draw_ground_truth(rng: np.random.Generator) -> GroundTruth:
    """As many faces as WIDER FACE has for validation, most of them in a few crowds."""
    weights = rng.pareto(1.0, NUM_IMAGES) + 0.1
    image_index = np.sort(rng.choice(NUM_IMAGES, NUM_FACES, p=weights / weights.sum()))
    size = 14 * np.exp(rng.normal(0, 0.9, (NUM_FACES, 1)))
    boxes = np.hstack([rng.uniform(0, 1000, (NUM_FACES, 2)), size, 1.25 * size]).round()
    heights = {"easy": 50, "medium": 30, "hard": 10}
    kept = {setting: boxes[:, 3] >= height for setting, height in heights.items()}
    return GroundTruth(
        tuple(f"{i % 60}--Event/{i:05}" for i in range(NUM_IMAGES)), image_index, boxes, kept
    )


def draw_detections(
    ground_truth: GroundTruth, count: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Detections of about the precision of a text file; nearer ones score higher on average."""
    face = rng.integers(0, len(ground_truth.boxes), count)
    table = np.empty((count, 5))
    size = np.abs(ground_truth.boxes[face, 2:]) + 1
    spread = rng.exponential(0.15, count)[:, None]
    table[:, :2] = ground_truth.boxes[face, :2] + rng.normal(size=(count, 2)) * spread * size
    table[:, 2:4] = size * np.exp(rng.normal(size=(count, 2)) * spread)
    table[:, 4] = np.exp(-4 * spread[:, 0]) * rng.random(count)
    on_nothing = rng.random(count) >= SHARE_ON_FACES
    table[on_nothing, :2] = rng.uniform(0, 1000, (np.count_nonzero(on_nothing), 2))
    table[on_nothing, 4] *= 0.5
    np.round(table[:, :4], 1, out=table[:, :4])
    np.round(table[:, 4], 5, out=table[:, 4])
    image_index = ground_truth.image_index[face]
    table = table[np.argsort(image_index, kind="stable")]
    ends = np.cumsum(np.bincount(image_index, minlength=len(ground_truth.images)))
    return dict(zip(ground_truth.images, np.split(table, ends[:-1]), strict=True))


def write_archive(path: Path, detections: dict[str, np.ndarray]) -> None:
    """A submission with as many digits as are common."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for image, rows in detections.items():
            lines = [image.partition("/")[2], str(len(rows))]
            numbers = "{:.1f} {:.1f} {:.1f} {:.1f} {:.5f}".format
            lines += [numbers(*row) for row in rows.tolist()]
            archive.writestr(f"{image}.txt", "\n".join(lines) + "\n")


def processor_seconds(run: Callable[[], Any], repeats: int = 1) -> float:
    """Median of the processor time of repeated calls."""
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)


def peak_bytes(run: Callable[[], Any]) -> int:
    """Most memory that a call takes at any time."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def measure_growth(
    ground_truth: GroundTruth, count: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """The row for one number of detections."""
    detections = draw_detections(ground_truth, count, np.random.default_rng(arguments.seed))

    def run():
        return evaluate_wider_face(detections, ground_truth)

    row: dict[str, Any] = {
        "detections": count,
        "arrays_seconds": processor_seconds(run, arguments.repeats),
        "arrays_bytes_per_detection": peak_bytes(run) / count,
        "loops_seconds": None,
        "largest_difference": None,
        "coco_seconds": None,
    }
    if count <= arguments.max_loops:
        figures: dict[str, float] = {}
        row["loops_seconds"] = processor_seconds(
            lambda: figures.update(evaluate_by_loops(detections, ground_truth))
        )
        row["largest_difference"] = max(abs(figures[k] - v) for k, v in run().ap.items())
    if count <= arguments.max_coco:
        row["coco_seconds"] = processor_seconds(
            lambda: coco_average_precision(detections, ground_truth)
        )
    return row


def measure_command(
    folder: Path, ground_truth: GroundTruth, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Reading an archive, and the whole command-line tool from archive to table."""
    rng = np.random.default_rng(arguments.seed)
    count = arguments.command_detections
    tool = [sys.executable, str(ROOT / "tools/evaluate_wider_face.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "detections.zip"
        write_archive(archive, draw_detections(ground_truth, count, rng))
        reading = processor_seconds(lambda: read_detections(archive), arguments.repeats)
        seconds = []
        for _ in range(arguments.repeats):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [*tool, str(archive), str(folder)]
            subprocess.run(command, check=True, capture_output=True, env=environment)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return {
        "detections": count,
        "read_seconds": reading,
        "command_seconds": statistics.median(seconds),
    }


def draw_fddb(count: int, rng: np.random.Generator) -> tuple[dict, dict, dict]:
    """Faces, detections and sizes of images as of a detector that keeps everything.

    Each image has two faces, 100 detections near either of them, and 600 elsewhere.

    Args:
        count: of detections, a multiple of 800.

    Returns:
        Image -> detections, fold -> image -> ellipses, and image -> size.
    """
    faces = np.array([[30.0, 20, 1.5, 60, 60], [30, 20, 1.6, 150, 60]])
    places = np.array([[40.0, 30, 40, 60], [130, 30, 40, 60], [20, 125, 40, 60]])
    boxes = np.repeat(places, [100, 100, 600], axis=0)
    detections = {
        f"a/{k}": np.hstack([boxes + rng.normal(0, 3, boxes.shape), rng.random((len(boxes), 1))])
        for k in range(count // len(boxes))
    }
    folds = {"01": dict.fromkeys(detections, faces)}
    return detections, folds, dict.fromkeys(detections, (200, 200))


def measure_fddb(counts: list[int], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each number of detections."""
    rows: list[dict[str, Any]] = []
    for count in counts:
        problem = draw_fddb(count, np.random.default_rng(arguments.seed))
        seconds = processor_seconds(lambda drawn=problem: evaluate_fddb(*drawn), arguments.repeats)
        times_the_first = seconds / rows[0]["seconds"] if rows else 1.0
        rows.append({"detections": count, "seconds": seconds, "times_the_first": times_the_first})
    return rows


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    counts = [10**4, 10**5, 3 * 10**5, 10**6, 10**7]
    parser.add_argument("--detections", type=int, nargs="+", default=counts)
    parser.add_argument(
        "--max-loops", type=int, default=10**5, help="the loops are left out for more detections"
    )
    parser.add_argument(
        "--max-coco", type=int, default=10**6, help="COCO's AP is left out for more detections"
    )
    parser.add_argument(
        "--ground-truth", type=Path, metavar="FOLDER", help="of the official wider_*_val.mat files"
    )
    parser.add_argument(
        "--command-detections", type=int, default=3 * 10**5, help="in the archive of the whole tool"
    )
    parser.add_argument(
        "--fddb-detections",
        type=int,
        nargs="+",
        default=[10**5, 10**6],
        help="scored by FDDB's protocol, in multiples of 800",
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    folder, command = args.ground_truth, None
    if folder:
        ground_truth = load_ground_truth(folder)
        command = measure_command(folder, ground_truth, args)
    else:
        ground_truth = draw_ground_truth(np.random.default_rng(args.seed))
    growth = [measure_growth(ground_truth, count, args) for count in args.detections]
    fddb = measure_fddb(args.fddb_detections, args)
    results = {"growth": growth, "command": command, "fddb": fddb}
    document = report("evaluation", args, choose_device("cpu"), results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
