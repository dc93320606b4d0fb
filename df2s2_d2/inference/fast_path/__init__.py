"""A trained detector made fast: the same function, arranged as the hardware likes it."""

from df2s2_d2.inference.fast_path.fast_detector import PRECISIONS, FastFaceDetector, optimize

__all__ = ["PRECISIONS", "FastFaceDetector", "optimize"]
