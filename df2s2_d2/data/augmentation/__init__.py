"""Augmentations of training images, and how a config chooses them."""

from df2s2_d2.data.augmentation.anchor_sampling import AnchorSampling
from df2s2_d2.data.augmentation.bounded_resize import BoundedResize
from df2s2_d2.data.augmentation.build import build_augmentations
from df2s2_d2.data.augmentation.crops import RandomSquareCrop, centres_inside, sizes_inside
from df2s2_d2.data.augmentation.deferred_input import (
    DeferredAugmentations,
    DeferredInput,
    UnreadImage,
)
from df2s2_d2.data.augmentation.degradation import DegradationTransform, RandomDegradation
from df2s2_d2.data.augmentation.photometric import PhotometricDistortion, PhotometricTransform
from df2s2_d2.data.augmentation.random_choice import RandomChoice
from df2s2_d2.data.augmentation.random_window import RandomWindow
from df2s2_d2.data.augmentation.square_window import SquareWindowTransform

__all__ = [
    "AnchorSampling",
    "BoundedResize",
    "DeferredAugmentations",
    "DeferredInput",
    "DegradationTransform",
    "PhotometricDistortion",
    "PhotometricTransform",
    "RandomChoice",
    "RandomDegradation",
    "RandomSquareCrop",
    "RandomWindow",
    "SquareWindowTransform",
    "UnreadImage",
    "build_augmentations",
    "centres_inside",
    "sizes_inside",
]
