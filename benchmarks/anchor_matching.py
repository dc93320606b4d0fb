#!/usr/bin/env python3
"""Time and memory of matching anchors with faces beside detectron2's dense matrix of overlaps.

    python -m benchmarks.anchor_matching --output output/matching.json
    python -m benchmarks.anchor_matching --faces 10 2000 --threads 2

The dense way compares every face with every anchor (pairwise_iou, then Matcher). Its matrix is
filled in slices of --slice faces, which needs less memory than detectron2's one call.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import torch
from detectron2.modeling.matcher import Matcher
from detectron2.structures import Boxes, pairwise_iou
from torch import Tensor

from benchmarks.common import (
    add_common_arguments,
    choose_device,
    peak_memory,
    relative_difference,
    report,
    time_alternating,
)
from benchmarks.make_table import to_markdown
from benchmarks.models import random_faces
from df2s2_d2.modeling.anchors import AnchorGrid, GridAnchorGenerator
from df2s2_d2.modeling.targets import AnchorMatcher

STRIDES = [4, 8, 16, 32, 64, 128]
IOU_THRESHOLDS = (0.4, 0.5)


def make_grids(size: tuple[int, int], device: torch.device) -> list[AnchorGrid]:
    """The anchors of DF²S² for an image of (height, width), six to a cell."""
    generator = GridAnchorGenerator(
        strides=STRIDES,
        scale=4.0,
        octaves=[2 ** (octave / 3) for octave in range(3)],
        aspect_ratios=[1.0, 1.5],
        offset=0.5,
    ).to(device)
    return generator.grids([(-(-size[0] // s), -(-size[1] // s)) for s in STRIDES])


class Problem:
    """Anchors and faces of one image, and the two ways to match them.

    Args:
        num_faces: in the image.
        size: height and width of the image in pixels.
        slice_size: faces that the dense way compares at once.
        seed: of the faces.
        device: where to match.
    """

    def __init__(
        self,
        num_faces: int,
        size: tuple[int, int],
        slice_size: int,
        seed: int,
        device: torch.device,
    ):
        generator = torch.Generator().manual_seed(seed)
        self.device = device
        self.grids = make_grids(size, device)
        self.anchors = Boxes(torch.cat([grid.boxes() for grid in self.grids]))
        self.faces = random_faces(num_faces, size, generator).to(device)
        self.face_images = torch.zeros(num_faces, dtype=torch.int64, device=device)
        self.image_sizes = torch.tensor([size], device=device)
        self.slice_size = slice_size
        self.window_matcher = AnchorMatcher(IOU_THRESHOLDS, allow_low_quality_matches=True)
        self.dense_matcher = Matcher(
            list(IOU_THRESHOLDS), [0, -1, 1], allow_low_quality_matches=True
        )

    def windows(self) -> Tensor:
        """(R,) labels by this project's matcher."""
        matches = self.window_matcher(self.grids, self.faces, self.face_images, self.image_sizes)
        return matches.labels[0]

    @torch.no_grad()
    def dense(self) -> Tensor:
        """(R,) labels by detectron2's matcher."""
        overlaps = torch.empty(len(self.faces), len(self.anchors), device=self.device)
        for start in range(0, len(self.faces), self.slice_size):
            rows = slice(start, start + self.slice_size)
            overlaps[rows] = pairwise_iou(Boxes(self.faces[rows]), self.anchors)
        return self.dense_matcher(overlaps)[1]


def measure_faces(
    num_faces: int, arguments: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    """The row for one number of faces."""
    problem = Problem(num_faces, tuple(arguments.size), arguments.slice, arguments.seed, device)
    matrix_mb = 4 * num_faces * len(problem.anchors) / 1e6
    row: dict[str, Any] = {
        "faces": num_faces,
        "anchors": len(problem.anchors),
        "dense_matrix_mb": matrix_mb,
        "dense_seconds": None,
        "dense_memory_mb": None,
        "labels_agreeing": None,
    }
    again = "windows, again"
    ways = {"windows": problem.windows, again: problem.windows}
    if matrix_mb <= arguments.max_matrix_mb:
        ways = {"windows": problem.windows, "dense": problem.dense, again: problem.windows}
        agreeing = problem.windows() == problem.dense()
        row["labels_agreeing"] = agreeing.float().mean().item()
    seconds = time_alternating(ways, arguments.repeats, arguments.warmup, device)
    row["windows_seconds"] = statistics.median(seconds["windows"])
    row["noise"] = relative_difference(seconds["windows"], seconds[again])
    row["windows_memory_mb"] = peak_memory(problem.windows, device)
    if "dense" in ways:
        row["dense_seconds"] = statistics.median(seconds["dense"])
        row["dense_memory_mb"] = peak_memory(problem.dense, device)
    return row


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 10, 50, 200, 1000, 2000])
    parser.add_argument(
        "--size", type=int, nargs=2, default=(768, 1280), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--slice", type=int, default=50, help="faces the dense way does at once")
    parser.add_argument(
        "--max-matrix-mb",
        type=float,
        default=500,
        help="the dense way is left out where its matrix alone is larger",
    )
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    add_common_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    results = [measure_faces(count, args, device) for count in args.faces]
    document = report("matching", args, device, results)
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
