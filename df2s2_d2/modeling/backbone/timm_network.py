"""Any network of the library timm that gives feature maps, as a bottom-up network."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from types import ModuleType

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from df2s2_d2.config_checks import check_keys_added


class TimmNetwork(Backbone):
    """Feature maps of a network of timm, one per stride: ``stride4``, ``stride8``, ...

    Nothing is downloaded; for weights see :func:`~df2s2_d2.modeling.backbone.load_pretrained`. All
    layers are trained: MODEL.BACKBONE.FREEZE_AT is for ResNets and VGG16.

    Args:
        name: as in ``timm.list_models()``, such as "legacy_seresnet101" or "dpn98".
        strides: of the maps, each twice the one before. Stages behind the last are not built.
        in_channels: of the images.
        freeze_norm: whether batch norms keep the mean and variance that they were loaded with, as
            small batches want it; scales and shifts are trained all the same.

    Raises:
        ImportError: if timm is not installed.
        ValueError: if the network is unknown, does not give these maps for images of any size, or
            has parameters that none of them needs.
    """

    @configurable
    def __init__(
        self, *, name: str, strides: Sequence[int], in_channels: int, freeze_norm: bool = False
    ):
        super().__init__()
        timm = _import_timm()
        _check_known(timm, name)
        strides = list(strides)
        if not strides or any(b != 2 * a for a, b in zip(strides, strides[1:], strict=False)):
            raise ValueError(f"MODEL.TIMM.STRIDES must double one by one, found {strides}")

        def build(**kwargs) -> nn.Module:
            try:
                return timm.create_model(
                    name, pretrained=False, features_only=True, in_chans=in_channels, **kwargs
                )
            except Exception as error:  # of many types, one for each family of networks
                raise ValueError(
                    f"MODEL.TIMM.NAME is {name!r}, of which timm cannot take feature maps: {error}"
                ) from error

        # timm tells the strides only of a network that is built, and leaves out later stages only
        # of one that is yet to be built.
        info = build().feature_info
        offered = info.reduction(list(range(len(info))))
        if not set(strides) <= set(offered):
            raise ValueError(
                f"MODEL.TIMM.STRIDES is {strides}, but maps of {name!r} (MODEL.TIMM.NAME) have "
                f"strides {sorted(set(offered))}: choose among them, or another network"
            )
        index = {stride: position for position, stride in enumerate(offered)}
        self.name = name
        self.freeze_norm = freeze_norm
        self.features = build(out_indices=[index[stride] for stride in strides])
        self._output_shape = {
            f"stride{stride}": ShapeSpec(channels=info.channels(index[stride]), stride=stride)
            for stride in strides
        }
        self._check_maps(in_channels)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        check_keys_added(cfg, "MODEL.TIMM")
        return {
            "name": cfg.MODEL.TIMM.NAME,
            "strides": cfg.MODEL.TIMM.STRIDES,
            "in_channels": input_shape.channels,
            "freeze_norm": cfg.MODEL.TIMM.FREEZE_NORM,
        }

    @property
    def size_divisibility(self) -> int:
        return max(shape.stride for shape in self._output_shape.values())

    def output_shape(self) -> dict[str, ShapeSpec]:
        return self._output_shape

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, in_channels, H, W) images, sides divisible by the last stride, to maps by name."""
        return dict(zip(self._output_shape, self.features(images), strict=True))

    def train(self, mode: bool = True) -> TimmNetwork:
        super().train(mode)
        if self.freeze_norm:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def names_in_model(self) -> set[str]:
        """Names of all tensors of timm's whole model, classifier and all."""
        return set(whole_model(self.name).state_dict())

    def _check_maps(self, in_channels: int) -> None:
        """Run a small image through the network: timm only declares its shapes."""
        place = f"MODEL.TIMM.NAME is {self.name!r}"
        height, width = 2 * self.size_divisibility, 3 * self.size_divisibility
        parameters = {k: p for k, p in self.features.named_parameters() if p.requires_grad}
        self.eval()
        with torch.enable_grad():
            try:
                maps = self(torch.zeros(1, in_channels, height, width))
            except Exception as error:  # whatever a network says to an image it cannot take
                raise ValueError(
                    f"{place}, which does not work on images of any size: {error}"
                ) from error
            gradients = torch.autograd.grad(
                sum(x.sum() for x in maps.values()), list(parameters.values()), allow_unused=True
            )
        self.train()
        for (name, shape), x in zip(self._output_shape.items(), maps.values(), strict=True):
            expected = (1, shape.channels, height // shape.stride, width // shape.stride)
            if x.shape != expected:
                raise ValueError(
                    f"{place}, whose map {name} has shape {tuple(x.shape)} instead of {expected} "
                    f"for an image of {height} x {width} pixels: choose another network"
                )
        unused = [k for k, g in zip(parameters, gradients, strict=True) if g is None]
        if unused:
            raise ValueError(
                f"{place}, of which {len(unused)} parameters, the first {unused[0]!r}, take no "
                f"part in {list(self._output_shape)}: add its further strides to "
                "MODEL.TIMM.STRIDES, or choose another network"
            )


def whole_model(name: str) -> nn.Module:
    """timm's model as it classifies images, untrained.

    Raises:
        ImportError: if timm is not installed.
        ValueError: if it has no such model.
    """
    timm = _import_timm()
    _check_known(timm, name)
    return timm.create_model(name, pretrained=False)


def _check_known(timm: ModuleType, name: str) -> None:
    # Names such as "hf-hub:..." are not known, and would be looked up on the network.
    if not timm.is_model(name):
        similar = difflib.get_close_matches(name, timm.list_models())
        raise ValueError(
            f"MODEL.TIMM.NAME is {name!r}, which timm {timm.__version__} does not have; "
            + (f"similar names are {similar}" if similar else "see timm.list_models()")
        )


def _import_timm() -> ModuleType:
    # An optional requirement, needed by these networks and their weights alone.
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            "Networks of timm (MODEL.BOTTOM_UP.NAME build_timm_backbone) need timm: "
            "pip install 'df2s2_d2[timm]'"
        ) from error
    return timm


@BACKBONE_REGISTRY.register()
def build_timm_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> TimmNetwork:
    """Build :class:`TimmNetwork` from MODEL.TIMM."""
    return TimmNetwork(cfg, input_shape)
