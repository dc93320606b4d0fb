"""A detector in a test: as the config wants it, and never with more pixels than fit in memory."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from df2s2_d2.modeling.multi_scale.image_scales import ImageScale
from df2s2_d2.modeling.multi_scale.scale_choice import ScaleChoice
from df2s2_d2.modeling.multi_scale.test_time_augmentation import (
    DenseDetectorWithTTA,
    check_test_time_augmentation,
    to_size,
)


class BoundedDetector(nn.Module):
    """A detector of any kind, with its interface, for a test of the images of a data set.

    It gets at most ``TEST.AUG.MAX_PIXELS`` at once. Images with more are looked at as the
    Predictor looks at them: in overlapping tiles, and in a copy that fits for the faces that these
    cut; copies that an image is enlarged to beyond four times as many are left out. All others the
    detector gets as they come; with ``TEST.AUG.ENABLED`` every image is looked at in its scales.

    Args:
        cfg: the keys below ``TEST.AUG``, and those that resize test images.
        model: maps ``list[dict]`` with ``image``, ``height`` and ``width`` to ``list[dict]`` with
            ``instances``.

    Raises:
        ValueError: if a key below ``TEST.AUG`` is wrong; names it.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module):
        super().__init__()
        check_test_time_augmentation(cfg)
        self.cfg = cfg
        self.model = model.module if isinstance(model, DistributedDataParallel) else model
        # As the model's, which evaluation loops restore.
        self.training = model.training
        divisor = getattr(getattr(self.model, "backbone", None), "size_divisibility", 1)
        self.choice = ScaleChoice.from_config(cfg, tile_above=0, divisor=max(1, divisor))

    @torch.no_grad()
    def forward(self, batched_inputs: list[dict]) -> list[dict]:
        """
        Args:
            batched_inputs: one dict per image with ``image`` (3, H, W), resized as the config says
                or, where that is too large and with ``TEST.AUG.ENABLED``, in its original size,
                which is ``height`` and ``width``.

        Returns:
            For each image a dict with ``instances`` in pixels of the original image.

        Raises:
            ValueError: if an image is resized that was to come in its original size.
        """
        plain = [inputs for inputs in batched_inputs if self._is_plain(inputs)]
        outputs = iter(self.model(plain) if plain else [])
        return [
            next(outputs) if self._is_plain(inputs) else {"instances": self._look(inputs)}
            for inputs in batched_inputs
        ]

    def _is_plain(self, inputs: dict) -> bool:
        """Whether the model is to get an image as it comes."""
        given, original = _sizes(inputs)
        if self.cfg.TEST.AUG.ENABLED:
            return False
        (scale,) = self.choice.scales
        # The mapper leaves the size of images that would get too large.
        is_left = given == original != scale.resized(original) and (
            math.prod(scale.resized(original)) > self.choice.max_pixels
        )
        return not is_left and self.choice.fits(given)

    def _look(self, inputs: dict) -> Instances:
        given, original = _sizes(inputs)
        choice, merge = self.choice, "nms"
        if self.cfg.TEST.AUG.ENABLED:
            merge = self.cfg.TEST.AUG.MERGE
        elif given != original:
            # Nothing but the resized copy is there to be looked at.
            choice = replace(choice, scales=(ImageScale(factor=1.0),))
            inputs = {"image": inputs["image"]}
        scales = choice.scales_for(original if inputs.keys() >= {"height", "width"} else given)
        detector = DenseDetectorWithTTA(self.cfg, self.model, scales=scales, merge=merge)
        return to_size(detector([inputs])[0]["instances"], original)


def _sizes(inputs: dict) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of an image as it comes, and of its original."""
    height, width = inputs["image"].shape[1:]
    return (height, width), (inputs.get("height", height), inputs.get("width", width))
