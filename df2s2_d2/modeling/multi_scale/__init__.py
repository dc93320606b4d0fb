"""Looking at an image more than once: in several sizes, mirrored, and in tiles."""

from df2s2_d2.modeling.multi_scale.bounded_detector import BoundedDetector
from df2s2_d2.modeling.multi_scale.image_scales import ImageScale, make_scales
from df2s2_d2.modeling.multi_scale.test_time_augmentation import (
    DenseDetectorWithTTA,
    check_test_time_augmentation,
)

__all__ = [
    "BoundedDetector",
    "DenseDetectorWithTTA",
    "ImageScale",
    "check_test_time_augmentation",
    "make_scales",
]
