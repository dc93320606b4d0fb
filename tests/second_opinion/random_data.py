"""Random data sets in which everything that is hard about evaluation happens all the time."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

# Data sets of each comparison: all of them with ``make fuzz``, a few with ``make test``.
NUM_DATA_SETS = 2_000 if os.getenv("DF2S2_FUZZ_CASES") else 40

Rows = dict[str, np.ndarray]


class DataSet(NamedTuple):
    """Images, faces to be found or ignored, and detections.

    Attributes:
        boxes: image -> (n, 4) ``x, y, width, height``; some images have no face.
        kept: setting -> image -> (n,) bool.
        detections: image -> (m, 5) ``x, y, width, height, score``; some images are left out.
    """

    boxes: Rows
    kept: dict[str, Rows]
    detections: Rows


def random_data_set(seed: int) -> DataSet:
    """Faces and detections on a coarse grid, so that they coincide and overlaps tie.

    Scores are of few values, or all the same; detections and faces occur twice; in some data sets
    nothing is detected, or no face is to be found.
    """
    random = np.random.default_rng(seed)
    boxes, detections = {}, {}
    num_scores = random.choice([1, 3, 40])
    for index in range(random.integers(1, 6)):
        image = f"e/{index}"
        faces = random.integers([0, 0, 2, 2], [30, 30, 20, 20], size=(random.integers(0, 6), 4))
        faces = np.concatenate([faces, faces[: random.integers(0, 2)]]).astype(float)
        boxes[image] = faces
        if random.random() < 0.15:
            continue
        near = faces[random.integers(0, len(faces), 5)] if len(faces) else np.zeros((0, 4))
        near = near + random.integers(-3, 4, near.shape) * random.choice([0, 0.5, 1])
        far = random.integers([0, 0, 0, 0], [30, 30, 20, 20], size=(random.integers(0, 4), 4))
        rows = np.concatenate([near, far, near[: random.integers(0, 3)]])
        rows[:, 2:] = rows[:, 2:].clip(min=0)
        scores = random.integers(0, num_scores, size=(len(rows), 1)) / num_scores
        detections[image] = np.hstack([rows, scores])
    if random.random() < 0.05:
        detections = {}
    kept = {
        setting: {image: random.random(len(faces)) < share for image, faces in boxes.items()}
        for setting, share in (("easy", random.choice([0, 0.3])), ("hard", random.choice([0.7, 1])))
    }
    return DataSet(boxes, kept, detections)


def shuffled(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return rows[random.permutation(len(rows))]
