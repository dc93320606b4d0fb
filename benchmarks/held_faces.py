#!/usr/bin/env python3
"""How many faces a hidden video shows: those that no detector found, and those that are held.

    python -m benchmarks.held_faces --output output/held_faces.json
    python -m benchmarks.held_faces --model faces-small --videos 1

People walk through a drawn street, so that every face of every frame is known. A face-frame is a
face in a frame of which at least half is to be seen; it is exposed if less than nine tenths of its
box are hidden. The detector is drawn too: it misses every face for a while now and then, and what
it finds it finds inexactly. With --model it is a real one, on the frames as they are drawn.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import choose_device, report
from benchmarks.make_table import to_markdown
from df2s2_d2.inference.media.picture_options import HIDING_THRESHOLD
from df2s2_d2.inference.media.privacy import hidden_regions
from df2s2_d2.inference.tracking.face_tracker import FaceTracker
from df2s2_d2.inference.tracking.held_faces import HeldFaces

sys.path.append(str(Path(__file__).resolve().parents[1] / "datasets"))
from sample_faces.passers_by import Frame, draw_video  # noqa: E402

VISIBLE, HIDDEN = 0.5, 0.9
# Of the drawn detector: frames of a miss on average, and how far a box is off, in shares of a face.
MISS_LENGTH, INEXACTNESS = 6, 0.04

Detections = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Faces:
    """What is known of a frame: visible faces, (N, 4) XYXY, and who they are, (N,)."""

    boxes: np.ndarray
    people: np.ndarray

    @classmethod
    def of(cls, frame: Frame) -> Faces:
        is_visible = frame.shown >= VISIBLE
        return cls(frame.boxes[is_visible], frame.people[is_visible])


class DrawnDetector:
    """Finds every visible face, but each now and then not for a while.

    Args:
        rng: decides when.
        num_people: of the video.
        missed: share of all faces that it misses.
    """

    def __init__(self, rng: np.random.Generator, num_people: int, missed: float):
        self._rng = rng
        self._ends = 1 / MISS_LENGTH
        self._begins = self._ends * missed / (1 - missed)
        self._is_missed = rng.random(num_people) < missed

    def __call__(self, faces: Faces) -> Detections:
        rng = self._rng
        chances = rng.random(len(self._is_missed))
        self._is_missed = np.where(self._is_missed, chances >= self._ends, chances < self._begins)
        boxes = faces.boxes[~self._is_missed[faces.people]]
        sizes = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        return boxes + INEXACTNESS * sizes * rng.normal(size=boxes.shape), np.ones(len(boxes))


def look_at_video(args: argparse.Namespace, seed: int) -> tuple[list[Faces], list[Detections]]:
    """The faces of a drawn video, and what the detector finds of them."""
    rng = np.random.default_rng(seed)
    times = np.arange(args.frames) / args.fps
    frames = draw_video(rng, tuple(args.size), args.people, times)
    known: list[Faces] = []

    def images() -> Iterator[np.ndarray]:
        for frame in frames:
            known.append(Faces.of(frame))
            yield frame.image

    if args.model:
        from df2s2_d2 import Predictor

        predictor = Predictor(args.model, image_format="RGB")
        found = [
            (instances.pred_boxes.tensor.numpy(), instances.scores.numpy())
            for instances in predictor.stream(images())
        ]
    else:
        detector = DrawnDetector(np.random.default_rng([seed, 1]), args.people, args.missed)
        found = [detector(known[-1]) for _ in images()]
    return known, found


def hold(
    found: list[Detections], fps: float, max_gap: float
) -> tuple[list[np.ndarray], int, float]:
    """Where faces are hidden in each frame, the number of tracks, and seconds a frame."""
    tracker, held = FaceTracker(threshold=HIDING_THRESHOLD, max_gap=max_gap), HeldFaces(max_gap)
    times = np.arange(len(found)) / fps
    started = time.process_time()
    ids = [tracker.update(*one, moment) for one, moment in zip(found, times, strict=True)]
    hidden, num_added = [], 0
    for moment in times:
        while num_added < len(times) and times[num_added] <= moment + max_gap:
            on_track = ids[num_added] > 0
            boxes = found[num_added][0][on_track]
            held.add(times[num_added], ids[num_added][on_track], boxes)
            num_added += 1
        hidden.append(held.boxes_at(moment))
    seconds = (time.process_time() - started) / len(found)
    return hidden, max(one.max(initial=0) for one in ids), seconds


def count_exposed(
    known: list[Faces], hidden: list[np.ndarray], size: tuple[int, int]
) -> tuple[int, float]:
    """How many faces are exposed, and the share of the pixels that is hidden."""
    num_exposed, share = 0, 0.0
    for faces, boxes in zip(known, hidden, strict=True):
        mask = np.zeros(size, bool)
        for x1, y1, x2, y2 in hidden_regions(boxes, size).tolist():
            mask[y1:y2, x1:x2] = True
        share += mask.mean() / len(known)
        height, width = size
        for x1, y1, x2, y2 in faces.boxes.clip(0, (width, height) * 2).astype(int).tolist():
            num_exposed += mask[y1:y2, x1:x2].mean() < HIDDEN
    return num_exposed, share


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each longest gap; 0 hides in each frame what is found in it."""
    videos = [look_at_video(args, args.seed + number) for number in range(args.videos)]
    rows = []
    for max_gap in args.max_gaps:
        row = {"max_gap": max_gap, "people": 0, "tracks": 0, "face_frames": 0, "exposed": 0}
        shares, seconds = [], []
        for known, found in videos:
            hidden, num_tracks, spent = hold(found, args.fps, max_gap)
            num_exposed, share = count_exposed(known, hidden, tuple(args.size))
            row["people"] += len(np.unique(np.concatenate([faces.people for faces in known])))
            row["tracks"] += int(num_tracks)
            row["face_frames"] += sum(len(faces.people) for faces in known)
            row["exposed"] += int(num_exposed)
            shares.append(share)
            seconds.append(spent)
        row |= {
            "hidden_share": float(np.mean(shares)),
            "ms_a_frame": 1000 * float(np.mean(seconds)),
        }
        rows.append(row)
    return rows


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` unless given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--max-gaps", type=float, nargs="+", default=[0, 0.25, 0.5, 1, 2])
    parser.add_argument("--model", metavar="NAME", help="a real detector; none for a drawn one")
    parser.add_argument(
        "--missed", type=float, default=0.15, help="share of faces that the drawn detector misses"
    )
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--frames", type=int, default=300, help="of each")
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--people", type=int, default=10, help="in each")
    parser.add_argument(
        "--size", type=int, nargs=2, default=[240, 320], metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run the command line; return what was written."""
    args = parse_arguments(arguments)
    document = report("held_faces", args, choose_device("cpu"), measure(args))
    print(to_markdown(document))
    return document


if __name__ == "__main__":
    main()
