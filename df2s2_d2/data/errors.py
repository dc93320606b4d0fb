"""Errors of data that stay one sentence on their way out of a data loader's worker."""

from __future__ import annotations

from detectron2.data.detection_utils import SizeMismatchError

from df2s2_d2.images.errors import BrokenImageError, ImageError, MissingImageError, OneSentence

__all__ = [
    "AnnotationError",
    "BrokenImageError",
    "ImageError",
    "ImageSizeError",
    "MissingImageError",
]


class AnnotationError(OneSentence, ValueError):
    """What a data set says of an image is missing or wrong; the message names the image."""


class ImageSizeError(AnnotationError, SizeMismatchError):
    """An image has another size than its data set says."""
