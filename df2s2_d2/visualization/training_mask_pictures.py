"""Pictures of what the segmentation branch learns from training images, and what it predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.detection_utils import convert_image_to_rgb
from torch import nn

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.modeling.targets import GroundTruth
from df2s2_d2.visualization.training_samples import named_records
from df2s2_d2.visualization.weak_masks import draw_weak_masks


@torch.no_grad()
def draw_training_masks(cfg: CfgNode, model: nn.Module, image_ids: list[str], output: Path) -> None:
    """Write the weak masks, target and prediction, of training images after augmentation.

    Args:
        cfg: of the model.
        model: a FaceDetector.
        image_ids: "<event>/<image stem>" of images in DATASETS.TRAIN.
        output: folder for the pictures.

    Raises:
        ValueError: if an image is not in the training set.
    """
    records = named_records(cfg, image_ids)
    mapper = FaceDatasetMapper(cfg, is_train=True)
    output.mkdir(parents=True, exist_ok=True)
    for image_id, record in zip(image_ids, records, strict=True):
        inputs = [mapper(record)]
        images = model.preprocess_image(inputs)
        shot = model.shot
        shot.train()  # the segmentation branch exists in training only
        outputs = shot(model.backbone(images.tensor))
        shot.eval()
        ground_truth = GroundTruth.from_batch(inputs, images.image_sizes, model.device)
        grids = shot.grids(outputs)
        targets = shot.target_rule(grids, ground_truth, with_masks=True).masks
        predicted = outputs.masks or [None] * len(grids)
        padded = np.zeros((*images.tensor.shape[2:], 3), np.uint8)
        image = convert_image_to_rgb(inputs[0]["image"].permute(1, 2, 0), cfg.INPUT.FORMAT)
        padded[: image.shape[0], : image.shape[1]] = image
        figure = draw_weak_masks(
            padded,
            ground_truth.faces.cpu().numpy(),
            {
                name: (
                    target.mask[0].cpu().numpy(),
                    None if logits is None else logits[0, 0].float().sigmoid().cpu().numpy(),
                )
                for name, target, logits in zip(shot.in_features, targets, predicted, strict=True)
            },
        )
        figure.savefig(output / f"weak_masks_{image_id.replace('/', '_')}.png", dpi=110)
