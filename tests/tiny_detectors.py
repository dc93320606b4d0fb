"""Detectors small enough for tests, built from the shipped configs."""

from __future__ import annotations

from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase, FrozenBatchNorm2d
from detectron2.modeling import build_model
from torch import Tensor, nn

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
    """Make an untrained detector find some boxes near its anchors, as a trained one does.

    Norms get the statistics of ``images``; face logits get a deviation of 1, box codes one of a
    tenth of the size of an anchor. Few candidates overlap, so that rounding errors hardly ever
    decide which of them stays.

    Args:
        detector: changed in place.
        images: (3, H, W), 0 to 255, of equal size.
        num_candidates: in each of them that the threshold of scores is to let pass.
    """
    norms = [m for m in detector.modules() if isinstance(m, (FrozenBatchNorm2d, nn.BatchNorm2d))]
    head, weights = detector.shot.head, detector.shot.code_weights
    hooks = [norm.register_forward_pre_hook(_take_statistics) for norm in norms]
    for predictor, deviation in ((head.face_logits, 1.0), (head.box_deltas, 0.1 * weights.mean())):
        for conv in predictor.modules():
            if isinstance(conv, nn.Conv2d):
                hooks.append(conv.register_forward_hook(_scale_once(deviation)))
    for block in detector.modules():
        if isinstance(block, CNNBlockBase) and hasattr(block, "shortcut"):
            # Random residual branches at full strength amplify rounding errors from block to block.
            list(block.children())[-1].norm.weight.fill_(0.1)
    detector.eval()
    batch = detector.preprocess_image([{"image": image} for image in images])
    detector.shot(detector.backbone(batch.tensor))
    for hook in hooks:
        hook.remove()
    _, scores = detector.candidates(batch.tensor, torch.tensor(batch.image_sizes))
    detector.score_threshold = scores[:, num_candidates].mean().item()


def _take_statistics(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    norm.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
    norm.running_var.copy_(inputs[0].var(dim=(0, 2, 3)))


def _scale_once(deviation: float):
    scaled = []

    def hook(conv: nn.Conv2d, inputs: tuple[Tensor], outputs: Tensor) -> None:
        # A predictor that all levels share is scaled by the first, which has most of the anchors.
        if not scaled:
            conv.weight *= deviation / outputs.std()
            scaled.append(conv)

    return hook
