"""Evaluation by the protocols of the face detection benchmarks, without torch or detectron2."""

from .wider_face import WiderFaceResult, average_precision, evaluate_wider_face
from .wider_face_detections import read_detections, write_detections
from .wider_face_ground_truth import GroundTruth, load_ground_truth

__all__ = [
    "GroundTruth",
    "WiderFaceResult",
    "average_precision",
    "evaluate_wider_face",
    "load_ground_truth",
    "read_detections",
    "write_detections",
]
