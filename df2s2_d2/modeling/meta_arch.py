"""The face detector: a backbone and one shot, or two while training."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.structures import ImageList, Instances
from torch import Tensor

from df2s2_d2.config_checks import check_keys_added
from df2s2_d2.modeling.finite_maps import first_not_finite
from df2s2_d2.modeling.host_sync import to_device
from df2s2_d2.modeling.postprocessing import resize_detections, select_detections, to_instances
from df2s2_d2.modeling.shot import Shot
from df2s2_d2.modeling.targets import GroundTruth


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
        round_boxes_outward: see :func:`~df2s2_d2.modeling.boxes.round_outward`.

    Raises:
        ValueError: if a shot was built for other maps than the backbone gives.
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
        for part in (shot, first_shot):
            if part is not None:
                part.check_fit(backbone.output_shape())
        self.first_shot = first_shot
        self.score_threshold = score_threshold
        self.num_candidates = num_candidates
        self.nms_threshold = nms_threshold
        self.max_detections = max_detections
        self.round_boxes_outward = round_boxes_outward

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        check_keys_added(cfg, "MODEL.SHOT", "MODEL.FIRST_SHOT", "MODEL.FACE_DETECTOR")
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

    def drop_training_parts(self) -> None:
        """Give up what exists in training only: the first shot and the segmentation branch."""
        self.first_shot = None
        self.shot.head.mask_logits = None

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
        if self.training:
            ground_truth = GroundTruth.from_batch(batched_inputs, images.image_sizes, self.device)
            return self.forward_training(
                self.backbone(images.tensor), ground_truth.with_spare_boxes()
            )
        return [
            {"instances": instances} for instances in self.forward_inference(images, batched_inputs)
        ]

    def forward_training(
        self, features: dict[str, Tensor], ground_truth: GroundTruth
    ) -> dict[str, Tensor]:
        """The losses of all shots, by name."""
        losses = self.shot.losses(self.shot(features), ground_truth)
        if self.first_shot is not None:
            losses |= self.first_shot.losses(self.first_shot(features), ground_truth)
        return losses

    def forward_inference(self, images: ImageList, batched_inputs: list[dict]) -> list[Instances]:
        """Detections of each image, in pixels of the output that its dict wants.

        Raises:
            FloatingPointError: if what the head computes is not finite; names the layer that is
                the first at fault.
        """
        output_sizes = [
            (inputs.get("height", height), inputs.get("width", width))
            for inputs, (height, width) in zip(batched_inputs, images.image_sizes, strict=True)
        ]
        sizes = to_device(torch.tensor([images.image_sizes, output_sizes]), self.device)
        image_sizes, wanted_sizes = sizes.unbind()
        boxes, scores = self.candidates(images.tensor, image_sizes)
        # Else the image would seem to be without faces.
        if not (boxes.isfinite().all() & scores.isfinite().all()):
            raise FloatingPointError(self._reason_not_finite(images.tensor, image_sizes))
        detections = select_detections(
            boxes,
            scores,
            image_sizes,
            self.score_threshold,
            self.nms_threshold,
            self.max_detections,
        )
        detections = resize_detections(
            detections, image_sizes, wanted_sizes, self.round_boxes_outward
        )
        return to_instances(detections, output_sizes)

    def _reason_not_finite(self, images: Tensor, image_sizes: Tensor) -> str:
        """Why :meth:`candidates` gives what is not finite, and what to do."""
        # As it stands here, since CUDA graphs do not come by the layers.
        layer = first_not_finite(self, lambda: FaceDetector.candidates(self, images, image_sizes))
        if layer is not None and layer.dtype == torch.float16:
            return (
                f"the detector's layer {layer.name} exceeds {torch.finfo(layer.dtype).max:.0f}, "
                "where float16 ends: run it in bf16 or fp32"
            )
        where = f", first in its layer {layer.name}" if layer is not None else ""
        return (
            f"the detector computes boxes or scores that are not finite{where}: its weights are "
            "broken"
        )

    def candidates(self, images: Tensor, image_sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The highest-scoring boxes of each image, duplicates and all; the host never waits.

        Args:
            images: (N, 3, H, W), normalised and padded, see :meth:`preprocess_image`.
            image_sizes: (N, 2), height and width before padding.

        Returns:
            Boxes (N, C, 4), XYXY in pixels of the images, and their scores (N, C), descending.
        """
        outputs = self.shot(self.backbone(images))
        return self.shot.candidates(outputs, image_sizes, self.num_candidates)
