#!/usr/bin/env python3
"""Images a second that one core reads and augments for training, beside detectron2's mapper.

    python -m benchmarks.input_pipeline --output output/input_pipeline.json
    python -m benchmarks.input_pipeline --images ~/WIDER_train/images --gpu-images-per-second 150

Both mappers get the same files, faces and draws of chance, image by image in turns, and make the
same crops, resize and mirrorings. Photographs are those of --images, or JPEGs that are drawn.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, detection_utils
from detectron2.data import transforms as T
from detectron2.projects.point_rend import ColorAugSSDTransform
from detectron2.structures import BoxMode
from PIL import Image, UnidentifiedImageError

from benchmarks.common import add_common_arguments, relative_difference, report
from benchmarks.make_table import to_markdown
from benchmarks.models import random_faces, silence_detectron2
from df2s2_d2 import load_config
from df2s2_d2.data import FaceDatasetMapper, PhotometricDistortion, image_file
from df2s2_d2.data.augmentation import PhotometricTransform, SquareWindowTransform

CONFIG = "configs/DF2S2/DF2S2_R50.yaml"
# Width and height of the JPEGs that are drawn.
DRAWN_SIZES = ((1024, 768), (2048, 1536))
OURS, THEIRS, THEIRS_WITH_OURS = (
    "df2s2_d2",
    "detectron2",
    "detectron2, distortion of df2s2_d2",
)
STAGES = ("decode", "geometry", "distortion", "rest")
# Which calls belong to which stage; none of them calls another one.
_GEOMETRY = (T.CropTransform, T.ResizeTransform, T.HFlipTransform, SquareWindowTransform)
_TIMED = {
    "decode": [
        (detection_utils, "read_image"),
        (image_file.ImageFile, "__init__"),
        (image_file.ImageFile, "decode"),
    ],
    "geometry": [(image_file, "resized_window"), *((kind, "apply_image") for kind in _GEOMETRY)],
    "distortion": [(PhotometricTransform, "apply_image"), (ColorAugSSDTransform, "apply_image")],
}

Mapper = Callable[[dict], dict]


def build_mappers(cfg: CfgNode) -> dict[str, Mapper]:
    """This project's mapper, and detectron2's with its own and with this project's distortion."""
    ours = FaceDatasetMapper(cfg, is_train=True)
    augmentations = ours.augmentations.augs
    theirs = [
        ColorAugSSDTransform(cfg.INPUT.FORMAT) if isinstance(x, PhotometricDistortion) else x
        for x in augmentations
    ]
    stock = functools.partial(DatasetMapper, is_train=True, image_format=cfg.INPUT.FORMAT)
    return {
        OURS: ours,
        THEIRS: stock(augmentations=theirs),
        THEIRS_WITH_OURS: stock(augmentations=augmentations),
    }


def find_photographs(folder: Path, count: int) -> list[Path]:
    """Up to ``count`` readable JPEGs below a folder, evenly spread over their sorted names."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise SystemExit(f"--images {folder}: there are no JPEGs")
    spread = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [files[i] for i in spread]


def draw_photographs(folder: Path, size: tuple[int, int], count: int, seed: int) -> list[Path]:
    """Write JPEGs of (width, height) with about the detail of photographs.

    Noise of every scale, the stronger the coarser, as in natural images.
    """
    random = np.random.default_rng(seed)
    width, height = size
    paths = []
    for index in range(count):
        pixels = np.zeros((height, width, 3), dtype=np.float32)
        for octave in range(1, 10):
            cells = (max(1, height >> octave), max(1, width >> octave), 3)
            noise = random.standard_normal(cells).astype(np.float32)
            pixels += 6 * octave * cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
        pixels = (pixels + 128).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{width}x{height}_{index}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=78)
    return paths


def make_records(paths: list[Path], num_faces: int, seed: int) -> list[dict[str, Any]]:
    """Dataset dicts of images with random faces."""
    generator = torch.Generator().manual_seed(seed)
    records = []
    for path in paths:
        try:
            with Image.open(path) as image:
                width, height = image.size
        except UnidentifiedImageError:
            raise SystemExit(f"{path} is no image") from None
        faces = random_faces(num_faces, (height, width), generator).tolist()
        annotations = [
            {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0, "iscrowd": 0}
            for box in faces
        ]
        records.append({"file_name": os.fspath(path), "annotations": annotations})
    return records


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Time the calls of every stage but "rest"; gives seconds by stage, added up."""
    seconds: dict[str, float] = defaultdict(float)

    def timed(function: Callable, stage: str) -> Callable:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[stage] += time.process_time() - started

        return call

    with contextlib.ExitStack() as restore:
        for stage, functions in _TIMED.items():
            for owner, name in functions:
                function = getattr(owner, name)
                setattr(owner, name, timed(function, stage))
                restore.callback(setattr, owner, name, function)
        yield seconds


def run_mapper(mapper: Mapper, record: dict, seed: int) -> float:
    """Map one image with given draws of chance; returns the processor's seconds."""
    np.random.seed(seed)
    started = time.process_time()
    mapper(dict(record))
    return time.process_time() - started


def measure(
    mappers: dict[str, Mapper], records: list[dict], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """One row per mapper for one set of images."""
    again = f"{OURS}, again"
    candidates = {**mappers, again: mappers[OURS]}
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(-arguments.warmup, arguments.repeats):
        totals = dict.fromkeys(candidates, 0.0)
        for index, record in enumerate(records):
            for name, mapper in candidates.items():
                seed = arguments.seed + max(repeat, 0) * len(records) + index
                totals[name] += run_mapper(mapper, record, seed)
        for name, total in totals.items():
            if repeat >= 0:
                seconds[name].append(total)
    rows = []
    for name, mapper in mappers.items():
        with stopwatch() as stages:
            total = sum(run_mapper(mapper, x, arguments.seed + i) for i, x in enumerate(records))
        stages["rest"] = total - sum(stages.values())
        speed = len(records) / statistics.median(seconds[name])
        ratios = [theirs / own for theirs, own in zip(seconds[name], seconds[OURS], strict=True)]
        rows.append(
            {
                "mapper": name,
                "images": len(records),
                "images_per_second": speed,
                "times_slower": statistics.median(ratios),
                "noise": relative_difference(seconds[OURS], seconds[again]),
                "stages_ms": {stage: 1000 * stages[stage] / len(records) for stage in STAGES},
                "gpus_fed": arguments.cores * speed / arguments.gpu_images_per_second,
            }
        )
    return rows


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", default=CONFIG, metavar="FILE", help="its training input")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of JPEGs; without it, drawn ones"
    )
    parser.add_argument("--count", type=int, default=40, help="images of every kind")
    parser.add_argument("--faces", type=int, default=10, help="in every image")
    parser.add_argument("--cores", type=int, default=16, help="of the machine to be judged")
    parser.add_argument(
        "--gpu-images-per-second",
        type=float,
        default=100.0,
        help="that one GPU of that machine trains on; an assumption until it is measured",
    )
    add_common_arguments(parser)
    parser.set_defaults(repeats=5, warmup=1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    silence_detectron2()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    mappers = build_mappers(load_config(args.config_file))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        if args.images:
            sets = {args.images.name: find_photographs(args.images, args.count)}
        else:
            sets = {
                f"drawn, {size[0]} x {size[1]}": draw_photographs(
                    Path(folder), size, args.count, args.seed
                )
                for size in DRAWN_SIZES
            }
        for name, paths in sets.items():
            rows = measure(mappers, make_records(paths, args.faces, args.seed), args)
            results += [{"photographs": name, **row} for row in rows]
    document = report("input_pipeline", args, torch.device("cpu"), results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
