"""The face detector and detectron2's RetinaNet built for the same task, and inputs for both."""

from __future__ import annotations

import logging

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from df2s2_d2 import load_config
from df2s2_d2.inference.trained_weights import load_trained
from df2s2_d2.modeling import FaceDetector

OURS, THEIRS = "df2s2_d2", "detectron2 RetinaNet"


def build_pair(
    config_file: str,
    images: list[Tensor],
    device: torch.device,
    weights: str = "",
    retinanet_weights: str = "",
) -> dict[str, nn.Module]:
    """Our detector of a config and a RetinaNet of detectron2 with equal bottom-up and anchors.

    Args:
        config_file: of a FaceDetector on a ResNet.
        images: (3, H, W) that untrained models are calibrated on.
        device: where the models shall be.
        weights, retinanet_weights: checkpoints; without one a model is untrained, see
            :func:`calibrate_untrained`.

    Returns:
        The models under :data:`OURS` and :data:`THEIRS`, in training mode.
    """
    cfg = load_config(config_file, ["MODEL.DEVICE", str(device)])
    models = {}
    for name, its_cfg, path in (
        (OURS, cfg, weights),
        (THEIRS, retinanet_config(cfg), retinanet_weights),
    ):
        model = build_model(its_cfg)
        if path:
            load_trained(model, path)
        else:
            calibrate_untrained(model, images)
        models[name] = model
    return models


def retinanet_config(cfg: CfgNode) -> CfgNode:
    """A config of detectron2's RetinaNet with the bottom-up, levels, anchors and limits of ``cfg``.

    Its towers are as wide and deep as the face detector's tower.
    """
    cfg = cfg.clone()
    cfg.defrost()
    shot, levels = cfg.MODEL.SHOT, [2, 3, 4, 5, 6, 7]
    cfg.MODEL.META_ARCHITECTURE = "RetinaNet"
    cfg.MODEL.BACKBONE.NAME = "build_retinanet_resnet_fpn_backbone"
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = shot.HEAD.CONV_DIM
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [
        [shot.ANCHORS.SCALE * 2**level * octave for octave in shot.ANCHORS.OCTAVES]
        for level in levels
    ]
    cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = [list(shot.ANCHORS.ASPECT_RATIOS)]
    cfg.MODEL.ANCHOR_GENERATOR.OFFSET = shot.ANCHORS.OFFSET
    retinanet = cfg.MODEL.RETINANET
    retinanet.NUM_CLASSES = 1
    retinanet.IN_FEATURES = [f"p{level}" for level in levels]
    retinanet.NUM_CONVS = shot.HEAD.NUM_CONVS
    retinanet.IOU_THRESHOLDS = list(shot.MATCHING.IOU_THRESHOLDS)
    retinanet.TOPK_CANDIDATES_TEST = cfg.MODEL.FACE_DETECTOR.TOPK_CANDIDATES_TEST
    retinanet.NMS_THRESH_TEST = cfg.MODEL.FACE_DETECTOR.NMS_THRESH_TEST
    return cfg


@torch.no_grad()
def calibrate_untrained(model: nn.Module, images: list[Tensor]) -> None:
    """Bring an untrained model's activations and predictions near the scale of a trained one's.

    Left alone, the residual sums of a ResNet with frozen norms grow from block to block until they
    overflow float16, and scores saturate at 1. So the norms are given the statistics of
    ``images``, and the predictors are scaled to logits of deviation 1 and box codes of 0.2.
    """
    batch = model.preprocess_image([{"image": image} for image in images]).tensor
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, (FrozenBatchNorm2d, nn.BatchNorm2d))]
    hooks = [norm.register_forward_pre_hook(take_statistics) for norm in norms]
    features = model.backbone(batch)
    for hook in hooks:
        hook.remove()

    head = model.shot.head if isinstance(model, FaceDetector) else model.head
    if isinstance(model, FaceDetector):
        predictors = {head.face_logits: 1.0, head.box_deltas: 0.2}
    else:
        predictors = {head.cls_score: 1.0, head.bbox_pred: 0.2}
    deviations = {
        conv: deviation
        for predictor, deviation in predictors.items()
        for conv in predictor.modules()
        if isinstance(conv, nn.Conv2d)
    }
    outputs: dict[nn.Module, list[Tensor]] = {conv: [] for conv in deviations}
    hooks = [
        conv.register_forward_hook(lambda conv, _, output: outputs[conv].append(output.flatten()))
        for conv in deviations
    ]
    head([features[name] for name in model.head_in_features])
    for hook in hooks:
        hook.remove()
    for conv, deviation in deviations.items():
        conv.weight *= deviation / torch.cat(outputs[conv]).std()
    model.train()


def take_statistics(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    """A hook that gives a batch norm the statistics of what it is about to see."""
    norm.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
    norm.running_var.copy_(inputs[0].var(dim=(0, 2, 3)))


def random_images(count: int, size: tuple[int, int], seed: int = 0) -> list[Tensor]:
    """Cloudy noise as (3, H, W) uint8 tensors on the host, as a data loader gives images.

    It varies on all scales, as photographs do; white noise averages out on coarse levels.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, 3, *size)
    for cell in (1, 4, 16, 64):
        coarse = torch.randn(count, 3, *(-(-side // cell) for side in size), generator=generator)
        images += F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return list((128 + 32 * images).clamp(0, 255).to(torch.uint8))


def random_faces(count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(count, 4) XYXY boxes of 8 to 128 pixels that lie in an image of ``size`` (H, W)."""
    height, width = size
    sides = 8 * 16 ** torch.rand(count, 1, generator=generator)
    sides = (sides * torch.tensor([1.0, 1.25])).clamp(max=min(size) / 2)  # heads are upright
    room = torch.tensor([width, height]) - sides
    corner = torch.rand(count, 2, generator=generator) * room
    return torch.cat((corner, corner + sides), dim=1)


def annotated_batch(
    batch_size: int, size: tuple[int, int], num_faces: int, seed: int = 0
) -> list[dict]:
    """Training inputs that both models take: noise with boxes at random places."""
    generator = torch.Generator().manual_seed(seed)
    batch = []
    for image in random_images(batch_size, size, seed):
        instances = Instances(size)
        instances.gt_boxes = Boxes(random_faces(num_faces, size, generator))
        instances.gt_classes = torch.zeros(num_faces, dtype=torch.int64)
        batch.append({"image": image, "instances": instances})
    return batch


def silence_detectron2() -> None:
    """Leave the screen to the benchmark's own lines."""
    logging.getLogger("detectron2").setLevel(logging.WARNING)
    logging.getLogger("fvcore").setLevel(logging.WARNING)
