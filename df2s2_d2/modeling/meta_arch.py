"""The face detector: a backbone and one shot, or two while training."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone, detector_postprocess
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.structures import ImageList, Instances
from torch import Tensor

from df2s2_d2.modeling.ground_truth import GroundTruth, to_device
from df2s2_d2.modeling.postprocessing import round_outward, select_detections
from df2s2_d2.modeling.shot import Shot


@META_ARCH_REGISTRY.register()
class FaceDetector(DenseDetector):
    """DF²S², DSFD, and every mix of their parts.

    Args:
        backbone: gives maps by name.
        shot: detects at inference.
        first_shot: a second set of losses while training; neither run nor needed at inference.
        pixel_mean, pixel_std: of each image channel.
        score_threshold, num_candidates, nms_threshold, max_detections: see
            :func:`~df2s2_d2.modeling.postprocessing.select_detections` and
            :meth:`Shot.candidates`.
        round_boxes_outward: see :func:`~df2s2_d2.modeling.postprocessing.round_outward`.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        shot: Shot,
        first_shot: Shot | None = None,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
        score_threshold: float = 0.01,
        num_candidates: int = 5000,
        nms_threshold: float = 0.4,
        max_detections: int = 750,
        round_boxes_outward: bool = False,
    ):
        super().__init__(
            backbone, shot, shot.in_features, pixel_mean=pixel_mean, pixel_std=pixel_std
        )
        self.first_shot = first_shot
        self.score_threshold = score_threshold
        self.num_candidates = num_candidates
        self.nms_threshold = nms_threshold
        self.max_detections = max_detections
        self.round_boxes_outward = round_boxes_outward

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        backbone = build_backbone(cfg)
        shapes, sources = backbone.output_shape(), getattr(backbone, "sources", {})
        first_shot = None
        if cfg.MODEL.FIRST_SHOT.ENABLED:
            first_shot = Shot(
                cfg.MODEL.FIRST_SHOT,
                shapes,
                sources,
                loss_weight=cfg.MODEL.FIRST_SHOT.LOSS_WEIGHT,
                loss_suffix="_first_shot",
            )
        return {
            "backbone": backbone,
            "shot": Shot(cfg.MODEL.SHOT, shapes, sources),
            "first_shot": first_shot,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "score_threshold": cfg.MODEL.FACE_DETECTOR.SCORE_THRESH_TEST,
            "num_candidates": cfg.MODEL.FACE_DETECTOR.TOPK_CANDIDATES_TEST,
            "nms_threshold": cfg.MODEL.FACE_DETECTOR.NMS_THRESH_TEST,
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
            "round_boxes_outward": cfg.MODEL.FACE_DETECTOR.ROUND_OUTWARD,
        }

    @property
    def shot(self) -> Shot:
        """The shot that detects at inference."""
        return self.head

    def _move_to_current_device(self, x: Tensor) -> Tensor:
        return to_device(x, self.device)

    def forward(self, batched_inputs: list[dict]):
        """
        Args:
            batched_inputs: one dict per image with ``image``, a (3, H, W) tensor; while training
                also ``instances`` with ``gt_boxes`` and, optionally, ``ignore_regions``, a (G, 4)
                tensor; at inference optionally ``height`` and ``width`` of the wanted output.

        Returns:
            While training a dict of losses; else for each image a dict with ``instances``:
            ``pred_boxes``, ``scores`` and ``pred_classes`` in the wanted output's pixels.
        """
        images = self.preprocess_image(batched_inputs)
        features = self.backbone(images.tensor)
        if self.training:
            ground_truth = GroundTruth.from_batch(batched_inputs, images.image_sizes, self.device)
            return self.forward_training(features, ground_truth)
        detections = self.forward_inference(images, features)
        return [
            {"instances": self.rescale(instances, inputs)}
            for instances, inputs in zip(detections, batched_inputs, strict=True)
        ]

    def rescale(self, instances: Instances, inputs: dict) -> Instances:
        """Bring an image's detections to the size that its input dict wants, if it wants one."""
        height = inputs.get("height", instances.image_size[0])
        width = inputs.get("width", instances.image_size[1])
        instances = detector_postprocess(instances, height, width)
        if self.round_boxes_outward:
            boxes = instances.pred_boxes
            boxes.tensor = round_outward(boxes.tensor)
            boxes.clip(instances.image_size)
        return instances

    def forward_training(
        self, features: dict[str, Tensor], ground_truth: GroundTruth
    ) -> dict[str, Tensor]:
        """The losses of all shots, by name."""
        losses = self.shot.losses(self.shot(features), ground_truth)
        if self.first_shot is not None:
            losses |= self.first_shot.losses(self.first_shot(features), ground_truth)
        return losses

    def forward_inference(self, images: ImageList, features: dict[str, Tensor]) -> list[Instances]:
        """Detections of each image, in pixels of the images as they entered the network."""
        image_sizes = torch.tensor(images.image_sizes, device=self.device)
        boxes, scores = self.shot.candidates(self.shot(features), image_sizes, self.num_candidates)
        return select_detections(
            boxes,
            scores,
            images.image_sizes,
            self.score_threshold,
            self.nms_threshold,
            self.max_detections,
        )
