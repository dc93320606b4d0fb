#!/usr/bin/env python3
"""One detector by PyTorch, ONNX Runtime and OpenVINO, in fp32, bfloat16 and 8-bit integers.

    DETECTRON2_DATASETS=DIR python -m benchmarks.runtimes --output output/runtimes.json

Its AP on the photographs of WIDER FACE's validation split in the sizes of its config, the faces
that it finds as PyTorch does, the size of its file, and its time an image: of one size, and of a
size that it has not met before, as the photographs of a folder have. A large detector with random
weights is timed, too. Photographs of WIDER FACE's training split calibrate the integers.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.common import choose_device, report, summarize_seconds, time_alternating
from benchmarks.detector_zoo import untrained_detector
from benchmarks.detectors import REFERENCE, in_scales, parse_size, resized, set_threads
from benchmarks.make_table import to_markdown
from benchmarks.models import silence_detectron2
from benchmarks.wider_face_photographs import Photographs, spread
from df2s2_d2 import load_config
from df2s2_d2.evaluation import evaluate_wider_face
from df2s2_d2.evaluation.evaluators.base import to_rows
from df2s2_d2.inference.export import (
    calibration_images,
    difference,
    export_detector,
    load_exportable,
)
from df2s2_d2.inference.fast_path import optimize
from df2s2_d2.inference.runtimes import open_engine
from df2s2_d2.inference.runtimes.engine_detector import EngineDetector
from df2s2_d2.inference.trained_weights import without_training_parts
from df2s2_d2.modeling import FaceDetector
from df2s2_d2.modeling.postprocessing import Detections

PYTORCH, ONNX, OPENVINO = "PyTorch", "ONNX Runtime", "OpenVINO"
# Faces that are counted as found.
SHOWN = 0.5
TIMED_PHOTOGRAPHS = 5


@dataclass(frozen=True)
class Candidate:
    """A detector as one runtime computes it.

    Attributes:
        runtime: one of the names above.
        precision: "fp32", "bf16" or "int8".
        bytes: of its file; None in PyTorch, whose checkpoint holds more than the detector.
        model: maps ``list[dict]`` to ``list[dict]``, as detectron2's models do.
        image_format: order of the channels of the images that it wants.
    """

    runtime: str
    precision: str
    bytes: int | None
    model: nn.Module
    image_format: str

    @property
    def name(self) -> str:
        return f"{self.runtime}, {self.precision}"


def build_candidates(
    detector: FaceDetector, cfg: CfgNode, calibration: Path, threads: int
) -> list[Candidate]:
    """A detector by all runtimes.

    Args:
        detector: on the CPU.
        cfg: of the detector.
        calibration: folder of photographs.
        threads: of every runtime.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {"fp32": f"{folder}/exact.onnx", "int8": f"{folder}/quantized.onnx"}
        export_detector(detector, cfg, files["fp32"], "benchmark")
        images = calibration_images([str(calibration)], cfg)
        export_detector(
            detector, cfg, files["int8"], "benchmark", format="onnx-int8", images=images
        )
        runs = [(ONNX, "onnx", "fp32", "fp32"), (ONNX, "onnx", "int8", "fp32")]
        runs += [(OPENVINO, "openvino", "fp32", "fp32"), (OPENVINO, "openvino", "fp32", "bf16")]
        runs += [(OPENVINO, "openvino", "int8", "fp32")]
        found = [
            Candidate(PYTORCH, precision, None, optimize(detector, precision), cfg.INPUT.FORMAT)
            for precision in ("fp32", "bf16")
        ]
        for name, runtime, file, precision in runs:
            engine = open_engine(runtime, files[file], threads=threads, precision=precision)
            model = EngineDetector(
                engine,
                score_threshold=detector.score_threshold,
                max_detections=detector.max_detections,
                round_boxes_outward=False,
            )
            label = "int8" if file == "int8" else precision
            size = Path(files[file]).stat().st_size
            found.append(Candidate(name, label, size, model, cfg.INPUT.FORMAT))
    return found


def measure_accuracy(
    candidates: list[Candidate], cfg: CfgNode, photographs: Photographs
) -> list[dict[str, Any]]:
    """One row per candidate: AP, and what of the first one's faces it finds.

    Args:
        candidates: of the same detector.
        cfg: of the detector, in whose sizes the photographs are looked at.
        photographs: with their ground truth.
    """
    rows, reference = [], None
    for candidate in candidates:
        model = in_scales(candidate, cfg)
        files = tqdm(photographs.files.items(), candidate.name, disable=None)
        found = {image: model([{"file_name": str(path)}])[0]["instances"] for image, path in files}
        result = evaluate_wider_face(
            {image: to_rows(instances) for image, instances in found.items()},
            photographs.ground_truth,
        )
        detections = [_as_detections(instances) for instances in found.values()]
        reference = reference or detections
        # Image by image: pairs of all boxes of all images would not fit in memory.
        apart = [difference(*pair, SHOWN) for pair in zip(reference, detections, strict=True)]
        rows.append(
            {
                "runtime": candidate.runtime,
                "precision": candidate.precision,
                "bytes": candidate.bytes,
                **result.ap,
                "images": result.num_images,
                "faces": sum(int((image.scores >= SHOWN).sum()) for image in detections),
                "faces_in_one_only": sum(image.unmatched for image in apart),
                "largest_score_difference": max(x.max_score_difference for x in apart),
            }
        )
    return rows


def _as_detections(found: Instances) -> Detections:
    return Detections(found.pred_boxes.tensor, found.scores, torch.zeros_like(found.pred_classes))


def measure_speed(
    detector: str,
    candidates: list[Candidate],
    paths: tuple[Path, ...],
    size: tuple[int, int],
    repeats: int,
    warmup: int,
) -> list[dict[str, Any]]:
    """One row per candidate: its time for images of one size, and of ever new sizes.

    Args:
        detector: its name.
        candidates: timed in turns.
        paths: of photographs.
        size: height and width; new sizes are near it.
        repeats, warmup: timed and untimed calls of each.
    """
    same = _timed(candidates, lambda: itertools.repeat(size), paths, repeats, warmup)
    new = _timed(candidates, lambda: _new_sizes(size), paths, repeats, warmup)
    first = median(same[candidates[0].name])
    return [
        {
            "detector": detector,
            "size": list(size),
            "threads": torch.get_num_threads(),
            "runtime": candidate.runtime,
            "precision": candidate.precision,
            **summarize_seconds(same[candidate.name]),
            "new_size_ms": 1000 * median(new[candidate.name]),
            "times_faster": first / median(same[candidate.name]),
        }
        for candidate in candidates
    ]


def _timed(candidates, sizes, paths, repeats: int, warmup: int) -> dict[str, list[float]]:
    """Seconds of every timed call; images are decoded and resized before."""
    runs = {}
    for candidate in candidates:
        chosen = itertools.islice(sizes(), repeats + warmup)
        images: Iterator[Tensor] = iter(
            [
                resized(path, size, candidate.image_format)
                for path, size in zip(itertools.cycle(paths), chosen, strict=False)
            ]
        )
        runs[candidate.name] = lambda m=candidate.model, images=images: m([{"image": next(images)}])
    with torch.no_grad():
        return time_alternating(runs, repeats, warmup, choose_device("cpu"))


def _new_sizes(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Sizes up to an eighth smaller or larger, no two of them equal."""
    random, known = np.random.default_rng(0), set()
    while True:
        height, width = (int(side * random.uniform(0.875, 1.125)) for side in size)
        if (height, width) not in known:
            known.add((height, width))
            yield height, width


def measure(photographs: Photographs, arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything about both detectors."""
    set_threads(arguments.threads)
    calibration = arguments.calibrate or arguments.data / "wider_face/WIDER_train/images"
    paths = spread(tuple(photographs.files.values()), TIMED_PHOTOGRAPHS)
    detector, cfg = load_exportable(arguments.weights, config_file=None, overrides=[])
    candidates = build_candidates(detector, cfg, calibration, arguments.threads)
    accuracy = measure_accuracy(candidates, cfg, photographs)
    load = os.getloadavg()[0]
    repeats, warmup = arguments.repeats, arguments.warmup
    name = Path(arguments.weights).stem
    speed = []
    for size in arguments.sizes:
        speed += measure_speed(name, candidates, paths, size, repeats, warmup)
    if arguments.reference is not None:
        cfg = without_training_parts(load_config(str(arguments.reference), ["MODEL.DEVICE", "cpu"]))
        # Its untrained maps grow without bound otherwise, and are calibrated at the timed size.
        cfg.INPUT.MIN_SIZE_TEST = min(arguments.sizes[0])
        candidates = build_candidates(untrained_detector(cfg), cfg, calibration, arguments.threads)
        large = arguments.reference.stem
        speed += measure_speed(large, candidates, paths, arguments.sizes[0], repeats, warmup)
        sizes = {candidate.name: candidate.bytes for candidate in candidates}
    return {
        "accuracy": accuracy,
        "speed": speed,
        "reference_bytes": sizes if arguments.reference is not None else {},
        "load_before_timing": load,
        "versions": {"onnxruntime": onnxruntime.__version__, "openvino": openvino.__version__},
    }


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="faces-small", metavar="NAME|FILE")
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
        "--calibrate",
        type=Path,
        metavar="DIR",
        help="photographs (default: those of WIDER FACE's training split in --data)",
    )
    parser.add_argument(
        "--sizes",
        type=parse_size,
        nargs="+",
        default=[(512, 640), (320, 320), (832, 832)],
        metavar="SIZE",
        help="SIDE or HEIGHTxWIDTH of the timed photographs (512x640 320 832)",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument(
        "--reference",
        type=lambda text: Path(text) if text else None,
        default=REFERENCE,
        metavar="CONFIG",
        help="a large detector with random weights, timed at the first size; '' for none",
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
        results = measure(photographs, args)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"benchmarks.runtimes: {' '.join(str(error).split())}")
    document = report("runtimes", args, choose_device("cpu"), results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
