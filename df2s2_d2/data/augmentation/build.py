"""Which augmentations a config asks for."""

from __future__ import annotations

import sys

from detectron2.config import CfgNode
from detectron2.data import transforms as T

from df2s2_d2.config_checks import check_keys_added
from df2s2_d2.data.augmentation.anchor_sampling import AnchorSampling
from df2s2_d2.data.augmentation.bounded_resize import BoundedResize
from df2s2_d2.data.augmentation.crops import RandomSquareCrop
from df2s2_d2.data.augmentation.degradation import RandomDegradation
from df2s2_d2.data.augmentation.photometric import PhotometricDistortion
from df2s2_d2.data.augmentation.random_choice import RandomChoice
from df2s2_d2.data.augmentation.random_window import RandomWindow


def build_augmentations(cfg: CfgNode, is_train: bool) -> list[T.Augmentation]:
    """Build the augmentations of training (DF²S² §3.4, DSFD §3.4) or the resizing of test images.

    Training: crop, resize, flip, photometric distortion, degradation, each by its own key under
    ``INPUT``. The crop is anchor-based sampling with its probability, else a square crop; a random
    window replaces both. Testing: the short
    side becomes ``MIN_SIZE_TEST`` (0 = original size, whatever ``MAX_SIZE_TEST`` is); with
    ``TEST.AUG.ENABLED``, and where they would have more than ``TEST.AUG.MAX_PIXELS``, images keep
    their size, and the model resizes them. In both, a longest side of 0 means no limit.

    Args:
        cfg: config with the keys of ``add_df2s2_config``.
        is_train: whether for training.

    Returns:
        Augmentations in the order they are to be applied in.

    Raises:
        ValueError: if a key holds what it cannot.
    """
    check_keys_added(cfg, "INPUT.SQUARE_CROP", "TEST.AUG.MAX_PIXELS")
    inputs = cfg.INPUT
    if not is_train:
        if inputs.MIN_SIZE_TEST == 0 or cfg.TEST.AUG.ENABLED:
            return []
        longest = inputs.MAX_SIZE_TEST or sys.maxsize
        return [BoundedResize(inputs.MIN_SIZE_TEST, longest, cfg.TEST.AUG.MAX_PIXELS)]

    augmentations = _build_crops(cfg)
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
    if inputs.DEGRADATION:
        augmentations.append(RandomDegradation())
    return augmentations


def _build_crops(cfg: CfgNode) -> list[T.Augmentation]:
    inputs, crops = cfg.INPUT, []
    if inputs.RANDOM_WINDOW.ENABLED:
        return [_build_random_window(cfg)]
    if inputs.CROP.ENABLED:
        crop = RandomSquareCrop(
            inputs.SQUARE_CROP.MIN_SCALE,
            inputs.SQUARE_CROP.MAX_SCALE,
            inputs.SQUARE_CROP.WHOLE_SIDE_PROBABILITY,
            inputs.MIN_ORIGINAL_FACE_SIZE,
        )
        crops.append(T.RandomApply(crop, inputs.SQUARE_CROP.PROBABILITY))
    if not inputs.ANCHOR_SAMPLING.ENABLED:
        return crops

    probability = inputs.ANCHOR_SAMPLING.PROBABILITY
    if not 0 <= probability <= 1:
        raise ValueError(
            f"INPUT.ANCHOR_SAMPLING.PROBABILITY: expected 0 to 1; found {probability}."
        )
    sampling = AnchorSampling(
        inputs.ANCHOR_SAMPLING.ANCHOR_SIZES,
        inputs.RESIZE_SQUARE_TRAIN,
        # What the network sees there is nothing: normalisation makes it 0, as a batch's padding.
        pad_value=cfg.MODEL.PIXEL_MEAN,
        min_face_size=inputs.MIN_ORIGINAL_FACE_SIZE,
    )
    return [RandomChoice(sampling, T.AugmentationList(crops), probability)]


def _build_random_window(cfg: CfgNode) -> RandomWindow:
    inputs, window = cfg.INPUT, cfg.INPUT.RANDOM_WINDOW
    if inputs.CROP.ENABLED or inputs.ANCHOR_SAMPLING.ENABLED:
        raise ValueError(
            "INPUT.RANDOM_WINDOW takes the place of other crops: switch off INPUT.CROP.ENABLED and "
            "INPUT.ANCHOR_SAMPLING.ENABLED, or INPUT.RANDOM_WINDOW.ENABLED."
        )
    return RandomWindow(
        inputs.RESIZE_SQUARE_TRAIN,
        # As in anchor-based sampling: what the network sees there is nothing.
        pad_value=cfg.MODEL.PIXEL_MEAN,
        scale_range=tuple(window.SCALE),
        face_sizes=tuple(window.FACE_SIZES),
        face_prob=window.FACE_PROBABILITY,
        squeeze_range=tuple(window.SQUEEZE),
    )


def _resize_short_side(
    sizes: int | tuple[int, ...], max_size: int, sampling: str
) -> T.ResizeShortestEdge:
    return T.ResizeShortestEdge(sizes, max_size or sys.maxsize, sampling)
