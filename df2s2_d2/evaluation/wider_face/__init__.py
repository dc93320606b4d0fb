"""The WIDER FACE benchmark: ground truth, detections and their average precision."""

from df2s2_d2.formats.detection_files import read_detections
from df2s2_d2.formats.wider_face_detections import write_detections

from .ground_truth import GroundTruth, load_ground_truth
from .published_curves import PublishedCurves, read_published_curves
from .scoring import WiderFaceResult, average_precision, evaluate_wider_face

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
