"""Which augmentations a config asks for."""

from __future__ import annotations

import sys

from detectron2.config import CfgNode
from detectron2.data import transforms as T

from df2s2_d2.data.augmentation.crops import RandomSquareCrop
from df2s2_d2.data.augmentation.photometric import PhotometricDistortion


def build_augmentations(cfg: CfgNode, is_train: bool) -> list[T.Augmentation]:
    """Build the augmentations of training (DF²S² §3.4) or the resizing of test images.

    Training: square crop, resize, flip, photometric distortion, each by its own key under
    ``INPUT``. Testing: the short side becomes ``MIN_SIZE_TEST`` (0 = original size,
    whatever ``MAX_SIZE_TEST`` is). In both, a longest side of 0 means no limit.

    Args:
        cfg: config with the keys of ``add_df2s2_config``.
        is_train: whether for training.

    Returns:
        Augmentations in the order they are to be applied in.

    Raises:
        ValueError: if a key holds what it cannot.
    """
    inputs = cfg.INPUT
    if not is_train:
        if inputs.MIN_SIZE_TEST == 0:
            return []
        return [_resize_short_side(inputs.MIN_SIZE_TEST, inputs.MAX_SIZE_TEST, "choice")]

    augmentations: list[T.Augmentation] = []
    if inputs.CROP.ENABLED:
        crop = inputs.SQUARE_CROP
        augmentations.append(
            T.RandomApply(RandomSquareCrop(crop.MIN_SCALE, crop.MAX_SCALE), crop.PROBABILITY)
        )
    if inputs.RESIZE_SQUARE_TRAIN > 0:
        augmentations.append(T.Resize(inputs.RESIZE_SQUARE_TRAIN))
    else:
        sampling = inputs.MIN_SIZE_TRAIN_SAMPLING
        augmentations.append(
            _resize_short_side(inputs.MIN_SIZE_TRAIN, inputs.MAX_SIZE_TRAIN, sampling)
        )
    if inputs.RANDOM_FLIP not in ("horizontal", "vertical", "none"):
        raise ValueError(
            "INPUT.RANDOM_FLIP: expected horizontal, vertical or none; "
            f"found {inputs.RANDOM_FLIP!r}."
        )
    if inputs.RANDOM_FLIP != "none":
        is_horizontal = inputs.RANDOM_FLIP == "horizontal"
        augmentations.append(T.RandomFlip(horizontal=is_horizontal, vertical=not is_horizontal))
    if inputs.PHOTOMETRIC_DISTORTION:
        augmentations.append(PhotometricDistortion(inputs.FORMAT))
    return augmentations


def _resize_short_side(
    sizes: int | tuple[int, ...], max_size: int, sampling: str
) -> T.ResizeShortestEdge:
    return T.ResizeShortestEdge(sizes, max_size or sys.maxsize, sampling)
