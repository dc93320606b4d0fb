#!/usr/bin/env python3
"""Photographs a second over a Ray cluster beside one process, and what ten million would take.

    python -m benchmarks.cluster_throughput --output benchmarks/results/cluster_throughput.json
    python -m benchmarks.make_table --update    # write the tables of docs/scale.md

Drawn photographs of --size are looked at by faces-small: in one process, and over a local cluster
of 1 and of 2 workers, in turns, one thread each. Starting is not in the seconds: they begin when
the model is loaded, or when the first parts of a cluster's run are done. Stages are processor time
of one thread, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from detectron2.modeling import build_model
from PIL import Image

from benchmarks.cluster_estimates import ONE_PROCESS
from benchmarks.common import report
from benchmarks.complexity import count_macs
from benchmarks.make_table import to_markdown
from df2s2_d2 import Predictor
from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.inference.trained_weights import without_training_parts

ROOT = Path(__file__).resolve().parents[1]
MODEL = "faces-small"

_ONE_PROCESS = f"""
import sys, time
from df2s2_d2 import Predictor
predictor = Predictor({MODEL!r})
list(predictor.search(f"{{sys.argv[1]}}/00000.jpg"))
started = time.perf_counter()
count = sum(1 for _ in predictor.search(sys.argv[1]))
print(count / (time.perf_counter() - started))
"""


def draw_photographs(folder: Path, count: int, size: tuple[int, int]) -> None:
    """JPEG files with the texture of photographs, and a face in each; no two are the same."""
    paths = sorted((ROOT / "docs/photographs").glob("*.jpg"))
    photographs = [Image.open(path).convert("RGB").resize(size) for path in paths]
    for number in range(count):
        image = np.roll(photographs[number % len(photographs)], 7 * number, axis=1)
        Image.fromarray(image).save(folder / f"{number:05d}.jpg", quality=90)


def one_process(photographs: Path) -> float:
    """Images a second of a predictor's search, in a process of its own."""
    done = _run([sys.executable, "-c", _ONE_PROCESS, str(photographs)])
    return float(done)


def cluster(photographs: Path, workers: int) -> float:
    """Images a second of a run over a local cluster, between its first and its last part."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "df2s2_d2", "detect", str(photographs)]
        command += ["--weights", MODEL, "--output", f"{folder}/found"]
        _run([*command, "--ray", "local", "--ray-workers", str(workers)])
        parts = list(Path(folder, "found/parquet").iterdir())
        times = sorted(path.stat().st_mtime for path in parts)
        images = sum(1 for _ in photographs.iterdir()) / len(parts)
        # When all workers have done their first part, the others are counted.
        return images * (len(parts) - workers) / (times[-1] - times[workers - 1])


def _run(command: list[str]) -> str:
    alike = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    alike["RAY_worker_niceness"] = "0"  # or other work would slow Ray's workers down alone
    done = subprocess.run(
        command,
        env={**os.environ, **alike, "PYTHONPATH": _python_path()},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))


def measure_stages(photographs: Path) -> dict[str, float]:
    """Milliseconds of one core for an image: fetching, decoding, detecting, and writing."""
    from df2s2_d2.inference.media.result_files import face_rows
    from df2s2_d2.inference.ray_data.face_table import TABLE_FORMATS, FoundFaces, face_table
    from df2s2_d2.inference.ray_data.image_reading import _decode, _fetch

    predictor = Predictor(MODEL, image_format="RGB")
    paths = [str(path) for path in sorted(photographs.iterdir())]
    predictor(paths[0])
    spent: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        spent[name] = 1000 * (time.process_time() - started) / len(paths)

    with stage("fetch"):
        encoded = [_fetch(path, "") for path in paths]
    with stage("decode"):
        images = [_decode(one) for one in encoded]
    with stage("detect"):
        found = [predictor(pixels) for _, pixels in images]
    with stage("write"):
        rows = [face_rows(faces, 0.01) for faces in found]
        results = [
            FoundFaces(path, pixels.shape[:2], faces)
            for (path, pixels), faces in zip(images, rows, strict=True)
        ]
        TABLE_FORMATS["parquet"].encode(face_table(results))
    return spent


def operations(size: tuple[int, int]) -> float:
    """Of an image of width and height in all its scales; two for a multiplication and addition."""
    cfg = without_training_parts(config_of(MODEL))
    cfg.MODEL.DEVICE = "cpu"
    detector = build_model(cfg)
    total = 0
    for scale in cfg.TEST.AUG.SCALES:
        factor = scale["SHORT_SIDE"] / min(size)
        total += count_macs(detector, *(round(side * factor) for side in reversed(size)))
    return 2.0 * total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100, help="drawn photographs")
    parser.add_argument("--size", type=int, nargs=2, default=[1024, 768], metavar=("W", "H"))
    parser.add_argument("--repeats", type=int, default=3, help="runs of each candidate")
    parser.add_argument(
        "--teraflops", type=float, default=5.0, help="that a GPU is assumed to keep up, in 10^12/s"
    )
    parser.add_argument("--gpu-cores", type=int, default=16, help="cores beside a GPU")
    parser.add_argument("--gpu-price", type=float, default=2.5, help="of a GPU and these, USD/h")
    parser.add_argument("--core-price", type=float, default=0.04, help="of a core alone, USD/h")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder)
        draw_photographs(photographs, arguments.images, tuple(arguments.size))
        speeds: dict[str, list[float]] = {}
        for _ in range(arguments.repeats):
            speeds.setdefault(ONE_PROCESS, []).append(one_process(photographs))
            for workers in (1, 2):
                name = f"Ray, {workers} worker{'s' * (workers > 1)}"
                speeds.setdefault(name, []).append(cluster(photographs, workers))
        sizes = [path.stat().st_size for path in photographs.iterdir()]
        results = {
            "images_per_second": speeds,
            "stages_ms": measure_stages(photographs),
            "operations": operations(tuple(arguments.size)),
            "file_kb": math.fsum(sizes) / len(sizes) / 1000,
        }
    document = report("cluster_throughput", arguments, torch.device("cpu"), results)
    print(to_markdown(document))


if __name__ == "__main__":
    main()
