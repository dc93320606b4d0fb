"""The terms of a shot's loss: of classification, boxes and weak masks, and their normalisation."""

from df2s2_d2.modeling.losses.boxes import box_loss, level_box_loss
from df2s2_d2.modeling.losses.classification import (
    ClassificationLoss,
    FocalLoss,
    MinedSoftmaxLoss,
    build_classification_loss,
)
from df2s2_d2.modeling.losses.masks import mask_loss
from df2s2_d2.modeling.losses.normalization import NORMALIZERS, mean_over_workers, normalized_sum

__all__ = [
    "NORMALIZERS",
    "ClassificationLoss",
    "FocalLoss",
    "MinedSoftmaxLoss",
    "box_loss",
    "build_classification_loss",
    "level_box_loss",
    "mask_loss",
    "mean_over_workers",
    "normalized_sum",
]
