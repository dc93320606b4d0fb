"""Random images with crowds of faces, and detections of them that tie and repeat."""

from __future__ import annotations

import numpy as np

from df2s2_d2.evaluation import GroundTruth


def random_scene(
    images: list[str], seed: int
) -> tuple[dict[str, np.ndarray], GroundTruth, dict[str, np.ndarray]]:
    """Boxes and kept masks of the setting "hard", and detections; one image has no detections."""
    rng = np.random.default_rng(seed)
    boxes, kept, detections = {}, {}, {}
    for image in images:
        faces = rng.integers(0, [150, 150, 40, 40], size=(rng.integers(1, 20), 4)).astype(float)
        near = faces[rng.integers(0, len(faces), 25)] + rng.integers(-2, 3, size=(25, 4))
        far = rng.uniform(0, 300, size=(4, 4))
        rows = np.concatenate((near, far))
        scores = rng.integers(0, 20, size=(len(rows), 1)) / 20
        boxes[image] = faces
        kept[image] = rng.random(len(faces)) < 0.7
        detections[image] = np.concatenate((rows, scores), axis=1)
    del detections[images[0]]
    return boxes, GroundTruth.from_annotations(boxes, {"hard": kept}), detections
