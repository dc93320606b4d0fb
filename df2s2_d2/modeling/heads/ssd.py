"""The head of DSFD (§3.3): SSD's, one convolution a level, nothing shared."""

from __future__ import annotations

import math

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from df2s2_d2.modeling.heads.build import HEAD_REGISTRY, HeadOutputs
from df2s2_d2.modeling.layers import xavier_conv

# Scores that max-in-out takes the maximum of.
_MAX_OF = 3


class FaceLogits(nn.Module):
    """A level's scores of face and background, given as the difference of the two.

    Softmax over two classes is the sigmoid of that difference, so that it is the face logit.

    Args:
        in_channels: of the map.
        num_anchors: A, anchors per cell.
        prior_prob: face probability of every anchor before training.
        num_background, num_face: scores of which the maximum is background's, or face's, score.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        prior_prob: float,
        num_background: int = 1,
        num_face: int = 1,
    ):
        super().__init__()
        self.groups = [num_background, num_face]
        self.scores = xavier_conv(in_channels, num_anchors * sum(self.groups), 3)
        prior = math.log(prior_prob / (1 - prior_prob))
        with torch.no_grad():
            self.scores.bias.view(num_anchors, -1)[:, num_background:] = prior

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) map to (N, A, H, W) face logits."""
        scores = self.scores(x)
        num_images, _, height, width = scores.shape
        # Not unflatten, of which ONNX files would remember the size of one image.
        scores = scores.view(num_images, -1, sum(self.groups), height, width)
        background, face = scores.split(self.groups, dim=2)
        return face.amax(dim=2) - background.amax(dim=2)


@HEAD_REGISTRY.register()
class SSDHead(nn.Module):
    """Classification, regression and, on request, segmentation: a 3x3 convolution a level each.

    The segmentation predictors run in training mode only.

    Args:
        input_shape: of the maps, finest first.
        num_anchors: A, anchors per cell.
        prior_prob: face probability of every anchor before training.
        max_in_out: on the finest level the highest of three background scores counts, which keeps
            its many false positives down; on the others the highest of three face scores.
        predict_masks: whether there are segmentation predictors.
    """

    @configurable
    def __init__(
        self,
        *,
        input_shape: dict[str, ShapeSpec],
        num_anchors: int,
        prior_prob: float = 0.5,
        max_in_out: bool = False,
        predict_masks: bool = False,
    ):
        super().__init__()
        self.input_shape, self.num_anchors = dict(input_shape), num_anchors
        widths = [shape.channels for shape in input_shape.values()]
        finest, others = ((_MAX_OF, 1), (1, _MAX_OF)) if max_in_out else ((1, 1), (1, 1))
        groups = [finest] + [others] * (len(widths) - 1)
        self.face_logits = nn.ModuleList(
            FaceLogits(width, num_anchors, prior_prob, *group)
            for width, group in zip(widths, groups, strict=True)
        )
        self.box_deltas = nn.ModuleList(xavier_conv(width, 4 * num_anchors, 3) for width in widths)
        self.mask_logits = None
        if predict_masks:
            self.mask_logits = nn.ModuleList(xavier_conv(width, 1, 3) for width in widths)

    @classmethod
    def from_config(cls, cfg: CfgNode, *, sources: dict[str, str], **kwargs) -> dict:
        # Every level has weights of its own, also one that is another level resampled.
        del sources
        return {
            "prior_prob": cfg.HEAD.PRIOR_PROB,
            "max_in_out": cfg.HEAD.MAX_IN_OUT,
            "predict_masks": cfg.WEAK_MASK.ENABLED,
            **kwargs,
        }

    def forward(self, features: list[Tensor]) -> HeadOutputs:
        """
        Args:
            features: maps (N, C, H, W), finest first.
        """
        masks = None
        if self.training and self.mask_logits is not None:
            masks = _predict(self.mask_logits, features)
        return HeadOutputs(
            logits=_predict(self.face_logits, features),
            deltas=_predict(self.box_deltas, features),
            masks=masks,
        )


def _predict(predictors: nn.ModuleList, features: list[Tensor]) -> list[Tensor]:
    return [predict(x) for predict, x in zip(predictors, features, strict=True)]
