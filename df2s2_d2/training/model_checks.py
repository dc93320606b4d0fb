"""Whether a config describes a model that can be built, told before a run starts."""

from __future__ import annotations

import re

import torch
from detectron2.config import CfgNode
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, build_model
from torch import nn

from df2s2_d2.config_checks import check_names
from df2s2_d2.modeling import HEAD_REGISTRY, NECK_REGISTRY
from df2s2_d2.modeling.meta_arch_settings import number_of_classes

# What says which key is wrong.
_KEY = re.compile(r"[A-Z][A-Z0-9]+[._][A-Z]")

# That images are read in.
_IMAGE_FORMATS = ("BGR", "RGB")


def check_part_names(cfg: CfgNode) -> None:
    """Check the names of the parts that a model is made of.

    Raises:
        ValueError: naming the key and the names that there are.
    """
    model = cfg.MODEL
    backbones = [name for name, _ in BACKBONE_REGISTRY]
    values = {
        "MODEL.META_ARCHITECTURE": (
            model.META_ARCHITECTURE,
            [name for name, _ in META_ARCH_REGISTRY],
        ),
        "MODEL.BACKBONE.NAME": (model.BACKBONE.NAME, backbones),
        "INPUT.FORMAT": (cfg.INPUT.FORMAT, _IMAGE_FORMATS),
    }
    if model.BACKBONE.NAME == "build_pyramid_backbone":
        values["MODEL.BOTTOM_UP.NAME"] = model.BOTTOM_UP.NAME, backbones
        values["MODEL.NECK.NAME"] = model.NECK.NAME, [name for name, _ in NECK_REGISTRY]
    if model.META_ARCHITECTURE == "FaceDetector":
        heads = [name for name, _ in HEAD_REGISTRY]
        values["MODEL.SHOT.HEAD.NAME"] = model.SHOT.HEAD.NAME, heads
        if model.FIRST_SHOT.ENABLED:
            values["MODEL.FIRST_SHOT.HEAD.NAME"] = model.FIRST_SHOT.HEAD.NAME, heads
    check_names(values)


def check_one_class(cfg: CfgNode) -> None:
    """Check that a model of detectron2 detects faces, the one class of all data sets, and no more.

    Raises:
        ValueError: naming the key that says otherwise.
    """
    classes = number_of_classes(cfg)
    if classes is not None and classes[1] != 1:
        key, number = classes
        raise ValueError(
            f"{key} is {number}, but the data sets have one class, the face: set it to 1"
        )


def check_device(cfg: CfgNode) -> None:
    """Check that MODEL.DEVICE is there.

    Raises:
        ValueError: what is wrong with it.
    """
    name = cfg.MODEL.DEVICE
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"MODEL.DEVICE is {name!r}: give cuda or cpu") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"MODEL.DEVICE is {name!r}, but torch finds {torch.cuda.device_count()} GPUs here: set "
            "MODEL.DEVICE cpu, or look at the driver and the build of torch"
        )


def build_untrained(cfg: CfgNode) -> nn.Module:
    """Build the model of a config on the CPU, which takes a second or two; seeds are left alone.

    Raises:
        ValueError: what is wrong with the config, whatever a part of the model says of it.
    """
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    try:
        with torch.random.fork_rng(devices=[]):
            return build_model(cfg)
    except Exception as error:  # of many types, as parts of the model stumble over their keys
        if isinstance(error, ValueError) and _KEY.search(str(error)):
            raise  # a sentence of its own
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"No {cfg.MODEL.META_ARCHITECTURE} can be built of the keys below MODEL ({what}): "
            "compare them with a config that is shipped"
        ) from error
