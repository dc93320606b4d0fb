"""What a shot's classification is trained with: focal loss, or softmax on mined negatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from torch import Tensor


class AnchorLosses(NamedTuple):
    """Loss of each anchor and which anchors take part, both (N, R); 0 where they do not."""

    losses: Tensor
    participating: Tensor


class ClassificationLoss(ABC):
    """Face against background, anchor by anchor."""

    @abstractmethod
    def __call__(self, logits: Tensor, positive: Tensor, participating: Tensor) -> AnchorLosses:
        """
        Args:
            logits: (N, R) face logits of N images with R anchors each, float32.
            positive: (N, R) bool, anchors of a face.
            participating: (N, R) bool, anchors of a face or of background.
        """


class FocalLoss(ClassificationLoss):
    """Sigmoid focal loss over all anchors (DF²S² eq. 2).

    Args:
        alpha, gamma: weight of the positive class, and focus.
    """

    def __init__(self, alpha: float, gamma: float):
        self.alpha = alpha
        self.gamma = gamma

    def __call__(self, logits: Tensor, positive: Tensor, participating: Tensor) -> AnchorLosses:
        # How far a logit is on the wrong side: the probability of the wrong class is its sigmoid,
        # and the cross entropy its softplus.
        wrong = torch.where(positive, -logits, logits)
        weights = torch.where(positive, self.alpha, 1 - self.alpha) * participating
        # A power below 1 has an infinite slope at 0, where the sigmoid ends in single precision.
        probability = wrong.sigmoid().clamp(min=torch.finfo(wrong.dtype).tiny)
        losses = weights * probability.pow(self.gamma) * F.softplus(wrong)
        return AnchorLosses(losses, participating)


class MinedSoftmaxLoss(ClassificationLoss):
    """Softmax cross entropy over the positives and each image's hardest negatives (DSFD §3.3).

    A softmax over two classes depends on nothing but the difference of their scores, which is the
    face logit here; its cross entropy is that of a sigmoid of the difference.

    Args:
        negative_ratio: negatives per positive of an image, at most.
        negatives_without_face: negatives of an image without positives, so that it teaches too.
    """

    def __init__(self, negative_ratio: float, negatives_without_face: int):
        if negative_ratio <= 0 or negatives_without_face < 0:
            raise ValueError(
                "LOSS.NEGATIVE_RATIO must be positive and LOSS.NEGATIVES_WITHOUT_FACE not "
                f"negative, found {negative_ratio} and {negatives_without_face}"
            )
        self.negative_ratio = negative_ratio
        self.negatives_without_face = negatives_without_face

    def __call__(self, logits: Tensor, positive: Tensor, participating: Tensor) -> AnchorLosses:
        mined = positive | self.mine(logits.detach(), positive, participating)
        losses = F.binary_cross_entropy_with_logits(
            logits, positive.to(logits.dtype), reduction="none"
        )
        return AnchorLosses(losses * mined, mined)

    def mine(self, logits: Tensor, positive: Tensor, participating: Tensor) -> Tensor:
        """(N, R) bool, the negatives of each image with the highest loss."""
        num_positive = positive.sum(dim=1)  # (N,)
        wanted = (num_positive * self.negative_ratio).long()
        wanted = wanted.where(num_positive > 0, self.negatives_without_face)
        negative = participating & ~positive
        # A negative's loss grows with its logit.
        hardness = logits.masked_fill(~negative, -torch.inf)
        order = hardness.argsort(dim=1, descending=True, stable=True)
        ranks = torch.arange(logits.shape[1], device=logits.device)
        hardest = torch.zeros_like(positive).scatter(1, order, ranks < wanted[:, None])
        return hardest & negative


def build_classification_loss(cfg: CfgNode) -> ClassificationLoss:
    """Build what ``LOSS.CLASSIFICATION`` of a shot names.

    Args:
        cfg: the node ``LOSS`` of a shot.

    Raises:
        ValueError: if there is no such loss.
    """
    if cfg.CLASSIFICATION == "focal":
        return FocalLoss(cfg.FOCAL_ALPHA, cfg.FOCAL_GAMMA)
    if cfg.CLASSIFICATION == "mined_softmax":
        return MinedSoftmaxLoss(cfg.NEGATIVE_RATIO, cfg.NEGATIVES_WITHOUT_FACE)
    raise ValueError(
        f"LOSS.CLASSIFICATION must be 'focal' or 'mined_softmax', found {cfg.CLASSIFICATION!r}"
    )
