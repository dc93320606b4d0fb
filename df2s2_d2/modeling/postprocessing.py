"""From the candidate boxes of a batch to its detections."""

from __future__ import annotations

from typing import NamedTuple

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor
from torchvision.ops import batched_nms

from df2s2_d2.modeling.boxes import clip_boxes, nonempty, round_outward


class Detections(NamedTuple):
    """The detections of a batch of images, ordered by image and then by descending score.

    Attributes:
        boxes: (D, 4), XYXY in pixels.
        scores: (D,).
        image_index: (D,) int64, place in the batch of the image that each was found in.
    """

    boxes: Tensor
    scores: Tensor
    image_index: Tensor

    def select(self, index: Tensor) -> Detections:
        """Those detections that ``index``, a mask or indices, chooses."""
        return Detections(*(field[index] for field in self))


def select_detections(
    boxes: Tensor,
    scores: Tensor,
    image_sizes: Tensor,
    score_threshold: float,
    nms_threshold: float,
    max_detections: int,
) -> Detections:
    """Clip the boxes to their image, drop low scores and empty boxes, suppress duplicates.

    All images are looked at at once.

    Args:
        boxes: (N, C, 4), XYXY in pixels of the padded batch's images.
        scores: (N, C).
        image_sizes: (N, 2), height and width of each image before padding.
        score_threshold: only higher scores are kept.
        nms_threshold: of two boxes with a higher IoU only the higher-scoring one is kept.
        max_detections: per image, highest scores first.
    """
    boxes = clip_boxes(boxes, image_sizes[:, None])
    image_index = torch.arange(len(scores), device=scores.device)[:, None].expand_as(scores)
    kept = (scores > score_threshold) & nonempty(boxes)
    found = Detections(boxes, scores, image_index).select(kept)
    # Where images are told apart by shifting their boxes, single precision would cost small boxes
    # of late images their last digits, and an image's detections would depend on its place.
    kept = batched_nms(
        found.boxes.double(), found.scores.double(), found.image_index, nms_threshold
    )
    found = found.select(kept)
    found = found.select(found.image_index.argsort(stable=True))
    images = torch.arange(len(scores), device=scores.device)
    first_of_image = (found.image_index < images[:, None]).sum(dim=1)  # (N,)
    place = torch.arange(len(found.scores), device=scores.device)
    return found.select(place - first_of_image[found.image_index] < max_detections)


def resize_detections(
    detections: Detections,
    image_sizes: Tensor,
    output_sizes: Tensor,
    round_boxes_outward: bool = False,
) -> Detections:
    """Detections after resizing their images; boxes that become empty are dropped.

    Args:
        detections: in pixels of images of ``image_sizes``.
        image_sizes, output_sizes: (N, 2), height and width before and after.
        round_boxes_outward: whether boxes are to end on whole pixels, see :func:`round_outward`.
    """
    factors = (output_sizes / image_sizes).flip(1).repeat(1, 2)  # (N, 4)
    limits = output_sizes[detections.image_index]
    boxes = clip_boxes(detections.boxes * factors[detections.image_index], limits)
    kept = nonempty(boxes)
    if round_boxes_outward:
        boxes = clip_boxes(round_outward(boxes), limits)
    return detections._replace(boxes=boxes).select(kept)


def to_instances(detections: Detections, image_sizes: list[tuple[int, int]]) -> list[Instances]:
    """Instances with ``pred_boxes``, ``scores`` and ``pred_classes`` (all 0, face) of each image.

    Args:
        detections: of a batch.
        image_sizes: height and width of each of its images.
    """
    counts = detections.image_index.bincount(minlength=len(image_sizes)).tolist()
    return [
        Instances(
            image_size,
            pred_boxes=Boxes(boxes),
            scores=scores,
            pred_classes=torch.zeros_like(scores, dtype=torch.int64),
        )
        for image_size, boxes, scores in zip(
            image_sizes,
            detections.boxes.split(counts),
            detections.scores.split(counts),
            strict=True,
        )
    ]
