"""From the candidate boxes of a batch to its detections."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.layers import batched_nms
from detectron2.structures import Boxes, Instances
from torch import Tensor

# Where models of each meta-architecture keep SCORE_THRESH_TEST and NMS_THRESH_TEST, below MODEL.
_THRESHOLD_KEYS = {
    "FaceDetector": "FACE_DETECTOR",
    "RetinaNet": "RETINANET",
    "GeneralizedRCNN": "ROI_HEADS",
}


def detection_thresholds(cfg: CfgNode) -> CfgNode:
    """The node with SCORE_THRESH_TEST and NMS_THRESH_TEST of the model; empty if unknown."""
    return cfg.MODEL.get(_THRESHOLD_KEYS.get(cfg.MODEL.META_ARCHITECTURE), CfgNode())


def select_detections(
    boxes: Tensor,
    scores: Tensor,
    image_sizes: list[tuple[int, int]],
    score_threshold: float,
    nms_threshold: float,
    max_detections: int,
) -> list[Instances]:
    """Clip the boxes to their image, drop low scores and empty boxes, suppress duplicates.

    Args:
        boxes: (N, C, 4), XYXY in pixels of the padded batch's images.
        scores: (N, C).
        image_sizes: (height, width) of each image before padding.
        score_threshold: only higher scores are kept.
        nms_threshold: of two boxes with a higher IoU only the higher-scoring one is kept.
        max_detections: per image, highest scores first.

    Returns:
        Instances with ``pred_boxes``, ``scores`` and ``pred_classes`` (all 0, face) for each
        image, by descending score.
    """
    detections = []
    for image_boxes, image_scores, image_size in zip(boxes, scores, image_sizes, strict=True):
        image_boxes = Boxes(image_boxes)
        image_boxes.clip(image_size)
        keep = (image_scores > score_threshold) & image_boxes.nonempty()
        image_boxes, image_scores = image_boxes[keep], image_scores[keep]
        classes = image_scores.new_zeros(len(image_scores)).long()
        keep = batched_nms(image_boxes.tensor, image_scores, classes, nms_threshold)
        keep = keep[:max_detections]
        detections.append(
            Instances(
                image_size,
                pred_boxes=image_boxes[keep],
                scores=image_scores[keep],
                pred_classes=classes[keep],
            )
        )
    return detections


def round_outward(boxes: Tensor) -> Tensor:
    """Round the top left corner down and width and height up, to whole pixels (DSFD §3.5).

    Args:
        boxes: (..., 4), XYXY in pixels.
    """
    top_left, bottom_right = boxes.split(2, dim=-1)
    size = (bottom_right - top_left).ceil()
    top_left = top_left.floor()
    return torch.cat((top_left, top_left + size), dim=-1)
