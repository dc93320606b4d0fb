"""Augmentations of training images, and how a config chooses them."""

from df2s2_d2.data.augmentation.build import build_augmentations
from df2s2_d2.data.augmentation.crops import RandomSquareCrop, centres_inside
from df2s2_d2.data.augmentation.photometric import PhotometricDistortion, PhotometricTransform

__all__ = [
    "PhotometricDistortion",
    "PhotometricTransform",
    "RandomSquareCrop",
    "build_augmentations",
    "centres_inside",
]
