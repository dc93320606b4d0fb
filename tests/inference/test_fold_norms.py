"""Folded norms against the layers as they are trained."""

from __future__ import annotations

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from df2s2_d2.inference.fold_norms import fold_norms
from tests.tiny_detectors import tiny_detector


def with_statistics(model: nn.Module) -> nn.Module:
    """Give every batch norm statistics, scales and shifts as training might leave them."""
    generator = torch.Generator().manual_seed(1)
    for norm in model.modules():
        if isinstance(norm, (_BatchNorm, FrozenBatchNorm2d)):
            for value, low, high in (
                (norm.running_mean, -0.2, 0.2),
                (norm.running_var, 0.5, 1.5),
                (norm.weight, 0.5, 1.5),
                (norm.bias, -0.2, 0.2),
            ):
                value.data.copy_(torch.empty_like(value).uniform_(low, high, generator=generator))
    return model.eval()


def batch_norms(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, (_BatchNorm, FrozenBatchNorm2d))]


@pytest.mark.parametrize(
    "config",
    [
        ("DF2S2/DF2S2_R50.yaml",),
        ("DF2S2/DF2S2_R50.yaml", "MODEL.FFP.NORM", "BN", "MODEL.FFP.KERNEL_SIZE", 4),
        ("DF2S2/DF2S2_R50.yaml", "MODEL.SHOT.HEAD.NORM", "BN"),
        ("DSFD/DSFD_R50.yaml",),
        ("DSFD/DSFD_VGG16.yaml", "MODEL.VGG.NORM", "BN", "MODEL.VGG.WIDTH", 4),
        ("DSFD/DSFD_SE-R101.yaml", "MODEL.TIMM.NAME", "legacy_seresnet18"),
        ("DF2S2/small/faces_small.yaml", "MODEL.SHOT.HEAD.NORM", ""),
    ],
    ids=["frozen", "fusion", "tower", "added levels", "VGG16", "timm", "timm, activating norms"],
)
def test_without_norms_a_detector_gives_the_same(config):
    detector = with_statistics(tiny_detector(*config))
    assert batch_norms(detector)
    images, sizes = torch.randn(2, 3, 256, 128), torch.tensor([[256, 128], [200, 128]])
    with torch.no_grad():
        before = detector.shot(detector.backbone(images))
        fold_norms(detector)
        after = detector.shot(detector.backbone(images))
    assert not batch_norms(detector)
    for x, y in zip(before.logits + before.deltas, after.logits + after.deltas, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-3 * x.abs().max().item())
    assert detector.candidates(images, sizes)[0].isfinite().all()


def test_norms_that_depend_on_the_image_stay():
    detector = tiny_detector(
        "DF2S2/DF2S2_R50.yaml", "MODEL.SHOT.HEAD.NORM", "GN", "MODEL.SHOT.HEAD.CONV_DIM", 32
    ).eval()
    before = sum(isinstance(m, nn.GroupNorm) for m in detector.modules())
    fold_norms(detector)
    assert sum(isinstance(m, nn.GroupNorm) for m in detector.modules()) == before > 0


def test_statistics_still_being_gathered_are_not_folded():
    with pytest.raises(ValueError, match="evaluation mode"):
        fold_norms(tiny_detector().train())
