"""Data sets, augmentations and the mapper; importing this package registers the data sets."""

from df2s2_d2.data.augmentation import (
    PhotometricDistortion,
    RandomSquareCrop,
    build_augmentations,
)
from df2s2_d2.data.dataset_mapper import FaceDatasetMapper
from df2s2_d2.data.datasets import register_fddb, register_wider_face
from df2s2_d2.data.mosaic import build_mosaic
from df2s2_d2.data.train_loader import build_train_loader

__all__ = [
    "FaceDatasetMapper",
    "PhotometricDistortion",
    "RandomSquareCrop",
    "build_augmentations",
    "build_mosaic",
    "build_train_loader",
    "register_fddb",
    "register_wider_face",
]
