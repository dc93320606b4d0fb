"""The FDDB benchmark: faces as ellipses, and the discrete and continuous curves of detections."""

from df2s2_d2.formats.fddb_detections import read_detections, write_detections
from df2s2_d2.formats.fddb_folds import load_folds

from .ellipse_regressor import EllipseRegressor, cross_validated_ellipses
from .image_sizes import find_image_sizes, read_image_headers, read_image_sizes
from .scoring import FALSE_POSITIVE_COUNTS, FddbResult, evaluate_fddb

__all__ = [
    "FALSE_POSITIVE_COUNTS",
    "EllipseRegressor",
    "FddbResult",
    "cross_validated_ellipses",
    "evaluate_fddb",
    "find_image_sizes",
    "load_folds",
    "read_detections",
    "read_image_headers",
    "read_image_sizes",
    "write_detections",
]
