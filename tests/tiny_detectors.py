"""Detectors small enough for tests, built from the shipped configs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import build_model
from detectron2.modeling.backbone.resnet import ResNetBlockBase
from torch import Tensor, nn

from benchmarks.models import take_statistics
from df2s2_d2 import load_config
from df2s2_d2.modeling import FaceDetector

_CONFIGS = Path(__file__).resolve().parents[1] / "configs"
_TINY = ["MODEL.DEVICE", "cpu"]
_TINY += ["MODEL.RESNETS.STEM_OUT_CHANNELS", 8, "MODEL.RESNETS.RES2_OUT_CHANNELS", 16]
_TINY += ["MODEL.RESNETS.WIDTH_PER_GROUP", 4]
_TINY += ["MODEL.SHOT.HEAD.CONV_DIM", 16, "MODEL.FIRST_SHOT.HEAD.CONV_DIM", 16]
_TINY += ["MODEL.FPN.OUT_CHANNELS", 16]


def tiny_config(config_file: str = "DF2S2/DF2S2_R50.yaml", *overrides) -> CfgNode:
    """A config of ``configs/``, narrow and on the CPU.

    Args:
        config_file: below ``configs/``.
        overrides: key, value, ...
    """
    return load_config(str(_CONFIGS / config_file), [*_TINY, *overrides])


def tiny_detector(*arguments) -> FaceDetector:
    """The detector of :func:`tiny_config` with fixed random weights."""
    torch.manual_seed(0)
    return build_model(tiny_config(*arguments))


@torch.no_grad()
def calibrate(detector: FaceDetector, images: list[Tensor], num_candidates: int = 300) -> None:
    """Make an untrained detector find boxes near its anchors, and with little rounding error.

    Norms get the statistics of ``images``; face logits get a deviation of 1, box codes one of a
    tenth of the size of an anchor.

    Args:
        detector: changed in place.
        images: (3, H, W), 0 to 255, of equal size.
        num_candidates: see :func:`set_clear_threshold`.
    """
    hooks = []
    for module in detector.modules():
        if isinstance(module, (FrozenBatchNorm2d, nn.BatchNorm2d)):
            hooks.append(module.register_forward_pre_hook(take_statistics))
            module.weight[module.weight == 0] = 0.1  # some networks begin without residual branches
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
            module.bias += 0.01 * torch.randn_like(module.bias)
        if isinstance(module, ResNetBlockBase):
            # Random residual branches at full strength amplify rounding errors from block to block.
            list(module.children())[-1].norm.weight.fill_(0.1)
    head, code_weights = detector.shot.head, detector.shot.code_weights
    for predictor, deviation in (
        (head.face_logits, 1.0),
        (head.box_deltas, 0.1 * code_weights.mean()),
    ):
        for conv in predictor.modules():
            if isinstance(conv, nn.Conv2d):
                hooks.append(conv.register_forward_hook(_scale_once(deviation)))
    detector.eval()
    detector.candidates(*_batch(detector, images))
    for hook in hooks:
        hook.remove()
    set_clear_threshold(detector, [images], num_candidates)


@torch.no_grad()
def set_clear_threshold(
    detector: FaceDetector, batches: Sequence[Sequence[Tensor]], num_candidates: int = 100
) -> None:
    """Choose a threshold of scores that no candidate is near, so that rounding errors do not count.

    Args:
        detector: whose ``score_threshold`` is changed.
        batches: images (3, H, W), 0 to 255, that it is to be clear in.
        num_candidates: about as many pass it in each image.
    """
    scores = torch.cat([detector.candidates(*_batch(detector, x))[1].flatten() for x in batches])
    wanted = num_candidates * sum(map(len, batches))
    near = scores.sort(descending=True).values[wanted * 9 // 10 : wanted * 11 // 10]
    widest = (near[:-1] - near[1:]).argmax()
    detector.score_threshold = near[widest : widest + 2].mean().item()


def _batch(detector: FaceDetector, images: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Images as the network gets them, and their sizes."""
    batch = detector.preprocess_image([{"image": image} for image in images])
    return batch.tensor, torch.tensor(batch.image_sizes)


def _scale_once(deviation: float):
    scaled = []

    def hook(conv: nn.Conv2d, inputs: tuple[Tensor], outputs: Tensor) -> None:
        # A predictor that all levels share is scaled by the first, which has most of the anchors.
        if not scaled:
            conv.weight *= deviation / outputs.std()
            scaled.append(conv)

    return hook
