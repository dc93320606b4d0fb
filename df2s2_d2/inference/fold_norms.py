"""Batch norms become part of the convolutions before them: the same function in fewer steps."""

from __future__ import annotations

from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn
from torch.fx.experimental.optimization import fuse
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from df2s2_d2.modeling.backbone.timm_network import TimmNetwork
from df2s2_d2.modeling.necks.ffp import FBlock


def fold_norms(model: nn.Module) -> None:
    """Fold every batch norm, frozen or not, that stands directly behind a convolution.

    Other norms stay: group norms depend on the image, and norms before a convolution (DPN) are
    parted from it by an activation.

    Args:
        model: in evaluation mode; changed in place, and of no use for training afterwards.

    Raises:
        ValueError: if the model is in training mode.
    """
    if model.training:
        raise ValueError("norms are folded in evaluation mode: call model.eval() before")
    for module in list(model.modules()):
        if isinstance(module, Conv2d) and _is_batch_norm(module.norm):
            _fold(module, module.norm)
            module.norm = None
        elif isinstance(module, FBlock) and _is_batch_norm(module.norm):
            _fold(module.upsample, module.norm, transpose=True)
            module.norm = nn.Identity()
        elif isinstance(module, TimmNetwork):
            # Networks of timm name their layers as they like, so their graphs are searched.
            _part_norms_from_activations(module.features)
            module.features = fuse(module.features)


def _is_batch_norm(module: nn.Module | None) -> bool:
    return isinstance(module, (_BatchNorm, FrozenBatchNorm2d))


def _part_norms_from_activations(network: nn.Module) -> None:
    """Give timm's batch norms that activate too the form that graphs are searched for."""
    for parent in list(network.modules()):
        for name, module in parent.named_children():
            # timm's BatchNormAct2d; other norms with these names are no batch norms.
            if isinstance(module, nn.BatchNorm2d) and hasattr(module, "act"):
                norm = nn.BatchNorm2d(module.num_features, eps=module.eps)
                norm.load_state_dict(module.state_dict())
                setattr(parent, name, nn.Sequential(norm.eval(), module.drop, module.act))


def _fold(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.Module, transpose: bool = False) -> None:
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=transpose,
    )
