#!/usr/bin/env python3
"""Looking for faces for a long time, with the memory of the process watched.

    python -m benchmarks.long_search --minutes 24 --output output/long_search.json

First a Predictor gets pictures of hundreds of sizes, in another random order each time. Then
``df2s2 detect`` looks through a folder in which every tenth file is broken. Pictures are looked at
in their own size, and each result has to be finite, ordered by score and inside its picture.
Minutes are processor time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.common import report, resident_mb
from benchmarks.make_table import to_markdown
from df2s2_d2.inference.predictor import Predictor

ROOT = Path(__file__).resolve().parents[1]
BROKEN_EVERY = 10  # of the files
OWN_SIZE = ["TEST.AUG.ENABLED", "False", "INPUT.MIN_SIZE_TEST", "0"]
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def draw_pictures(folder: Path, count: int, width: int) -> list[np.ndarray]:
    """Draw pictures with faces; (H, W, 3) uint8, RGB."""
    script = [sys.executable, str(ROOT / "datasets/make_sample_dataset.py"), "--output", folder]
    sizes = ["--num-train", 1, "--num-val", count, "--num-test", 1, "--image-size", width]
    subprocess.run(list(map(str, [*script, *sizes])), check=True, capture_output=True)
    paths = sorted((folder / "wider_face/WIDER_val/images").rglob("*.jpg"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def draw_sizes(count: int, shortest: int, longest: int, seed: int) -> list[tuple[int, int]]:
    """Different (height, width) in pixels; the logarithms of the sides are uniform."""
    generator = np.random.default_rng(seed)
    sizes: dict[tuple[int, int], None] = {}
    while len(sizes) < count:
        height, width = np.exp(generator.uniform(np.log(shortest), np.log(longest), 2)).round()
        sizes[int(height), int(width)] = None
    return list(sizes)


def check_faces(xyxy: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> None:
    """Check what every result promises.

    Args:
        xyxy: (D, 4) boxes in pixels.
        scores: (D,).
        size: (height, width) of the image.

    Raises:
        ValueError: if a value is not finite, scores do not descend or leave 0 to 1, or a box is
            empty or leaves the image.
    """
    height, width = size
    if not (np.isfinite(xyxy).all() and np.isfinite(scores).all()):
        raise ValueError(f"{width} x {height} pixels: a result is not finite")
    if (np.diff(scores) > 0).any() or (scores < 0).any() or (scores > 1).any():
        raise ValueError(f"{width} x {height} pixels: scores do not descend from 1 to 0")
    if (xyxy < 0).any() or (xyxy[:, [0, 2]] > width).any() or (xyxy[:, [1, 3]] > height).any():
        raise ValueError(f"{width} x {height} pixels: a box leaves the image")
    if (xyxy[:, 2:] <= xyxy[:, :2]).any():
        raise ValueError(f"{width} x {height} pixels: a box is empty")


def watch_predictor(
    pictures: list[np.ndarray], sizes: list[tuple[int, int]], minutes: float, seed: int
) -> dict[str, Any]:
    """Give a Predictor pictures of all sizes, again and again, until its processor time is over."""
    predictor = Predictor("faces-small", overrides=OWN_SIZE, image_format="RGB")
    generator = np.random.default_rng(seed)
    order = itertools.chain.from_iterable(
        generator.permutation(len(sizes)) for _ in itertools.count()
    )
    memory, boxes = [], 0
    started = time.process_time()
    for index in order:
        height, width = sizes[index]
        picture = pictures[generator.integers(len(pictures))]
        found = predictor.find(cv2.resize(picture, (width, height)))
        check_faces(found.xyxy, found.scores, (height, width))
        boxes += len(found)
        memory.append(resident_mb())
        if time.process_time() - started >= 60 * minutes:
            break
    return {
        "images": len(memory),
        "sizes": min(len(sizes), len(memory)),
        "boxes": boxes,
        **_summary(time.process_time() - started, memory),
    }


def fill_folder(
    folder: Path, pictures: list[np.ndarray], sizes: list[tuple[int, int]], count: int
) -> int:
    """Put `count` files into a folder, every tenth broken in one of three ways.

    Contents repeat, and lie on the disk once.

    Returns:
        How many are broken.
    """
    contents = folder.parent / "contents"
    for path in (folder, contents):
        path.mkdir()
    sound = []
    for number, (height, width) in enumerate(sizes):
        sound.append(contents / f"{number}.jpg")
        picture = cv2.resize(pictures[number % len(pictures)], (width, height))
        Image.fromarray(picture).save(sound[-1])
    data = sound[0].read_bytes()
    broken = []
    for name, content in {"cut": data[: len(data) // 3], "empty": b"", "text": b"no JPEG"}.items():
        broken.append(contents / f"{name}.jpg")
        broken[-1].write_bytes(content)
    for number in range(count):
        turn, is_sound = divmod(number, BROKEN_EVERY)
        source = sound[number % len(sound)] if is_sound else broken[turn % len(broken)]
        os.link(source, folder / f"{number:08}.jpg")
    return len(range(0, count, BROKEN_EVERY))


def watch_detect(folder: Path, output: Path, every: float = 0.5) -> dict[str, Any]:
    """Look through a folder by ``df2s2 detect``, and measure it until it ends.

    Args:
        folder: with images, some of them broken.
        output: for its results.
        every: seconds between two looks at its memory.
    """
    command = [sys.executable, "-m", "df2s2_d2", "detect", str(folder), "--output", str(output)]
    command += ["--save", "jsonl", "--no-pictures", "--opts", *OWN_SIZE]
    with (output.parent / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        samples = list(_samples(process, every))
    seconds = samples[-1][0]
    rows = (output / "detections.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, rows):
        boxes = np.array([face["box"] for face in row["faces"]], dtype=float).reshape(-1, 4)
        scores = np.array([face["score"] for face in row["faces"]], dtype=float)
        # Rounded in the file, so that a box of a hundredth of a pixel may be empty there.
        boxes[:, 2:] = np.maximum(boxes[:, 2:], np.nextafter(boxes[:, :2], np.inf))
        check_faces(boxes, scores, (row["height"], row["width"]))
    return {
        "exit_code": process.returncode,
        "images_with_results": len(rows),
        **_summary(seconds, [memory for _, memory in samples]),
    }


def _samples(process: subprocess.Popen, every: float) -> Iterator[tuple[float, float]]:
    """Processor seconds and MB of a process, until it ends; Linux only."""
    folder = Path(f"/proc/{process.pid}")
    while process.poll() is None:
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pages = int((folder / "statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        seconds = (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
        if pages:  # none of a process that has ended
            yield seconds, pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        time.sleep(every)


def _summary(seconds: float, memory: list[float]) -> dict[str, Any]:
    """Processor time, and the memory in each tenth of the run."""
    parts = np.array_split(memory, 10)
    return {
        "processor_minutes": seconds / 60,
        "memory_mb": [statistics.median(part) for part in parts if len(part)],
        "peak_mb": max(memory),
    }


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=24, help="of each part (24)")
    parser.add_argument("--sizes", type=int, default=500, help="different ones (500)")
    parser.add_argument("--shortest", type=int, default=16, help="side in pixels (16)")
    parser.add_argument("--longest", type=int, default=1024, help="side in pixels (1024)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = draw_pictures(folder / "drawn", 12, 640)
        sizes = draw_sizes(args.sizes, args.shortest, args.longest, args.seed)
        predictor = watch_predictor(pictures, sizes, args.minutes, args.seed)
        # Files take longer than the pictures in them.
        files = predictor["images"]
        broken = fill_folder(folder / "files", pictures, sizes, files)
        detect = watch_detect(folder / "files", folder / "found")
        results = {"predictor": predictor, "detect": {"files": files, "broken": broken, **detect}}
    document = report("long_search", args, torch.device("cpu"), results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
