"""Evaluation by the protocols of the face detection benchmarks, without torch or detectron2.

Only ``evaluators``, which run inside detectron2's training loop, need more than NumPy, SciPy,
OpenCV and matplotlib.
"""

from .wider_face import (
    GroundTruth,
    PublishedCurves,
    WiderFaceResult,
    average_precision,
    evaluate_wider_face,
    load_ground_truth,
    read_detections,
    read_published_curves,
    write_detections,
)

__all__ = [
    "GroundTruth",
    "PublishedCurves",
    "WiderFaceResult",
    "average_precision",
    "evaluate_wider_face",
    "load_ground_truth",
    "read_detections",
    "read_published_curves",
    "write_detections",
]
