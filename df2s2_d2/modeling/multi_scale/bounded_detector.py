"""A detector in a test: as the config wants it, and never with more pixels than fit in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.structures import Instances
from torch import nn

from df2s2_d2.modeling.multi_scale.image_scales import ImageScale
from df2s2_d2.modeling.multi_scale.scale_choice import ScaleChoice
from df2s2_d2.modeling.multi_scale.test_time_augmentation import (
    DenseDetectorWithTTA,
    bare_model,
    size_divisibility,
    to_size,
)


class BoundedDetector(nn.Module):
    """A detector of any kind, with its interface, for a test of the images of a data set.

    It gets at most ``max_pixels`` at once. Images with more are looked at as the Predictor looks at
    them: in overlapping tiles, and in a copy that fits for the faces that these cut; copies that an
    image is enlarged to beyond four times as many are left out. All others the detector gets as
    they come; with test-time augmentation every image is looked at in its scales.

    Args:
        model: maps ``list[dict]`` with ``image``, ``height`` and ``width`` to ``list[dict]`` with
            ``instances``.
        scales: sizes that an image is looked at in: without test-time augmentation the one that
            the dataset mapper resizes test images to.
        is_augmented: whether it is a test with test-time augmentation.
        max_pixels: most pixels, height x width after padding, that the model gets at once.
        options: of :class:`DenseDetectorWithTTA`, by which images are looked at several times.

    Built of a config, it reads the keys below ``TEST.AUG``, and those that resize test images.
    """

    @configurable
    def __init__(
        self,
        *,
        model: nn.Module,
        scales: Sequence[ImageScale],
        is_augmented: bool = False,
        max_pixels: int = 4_000_000,
        **options: Any,
    ):
        super().__init__()
        self.model = bare_model(model)
        # As the model's, which evaluation loops restore.
        self.training = model.training
        self.is_augmented = is_augmented
        divisor = size_divisibility(self.model)
        self.choice = ScaleChoice(tuple(scales), 0, max_pixels, divisor)
        self.options = {"max_pixels": max_pixels, "size_divisibility": divisor, **options}
        if not is_augmented:
            self.options["merge"] = "nms"

    @classmethod
    def from_config(cls, cfg: CfgNode, model: nn.Module) -> dict[str, Any]:
        """
        Raises:
            ValueError: if a key below ``TEST.AUG`` is wrong; names it.
        """
        options = DenseDetectorWithTTA.from_config(cfg, model)
        choice = ScaleChoice.from_config(cfg, tile_above=0, divisor=1)
        return {**options, "scales": choice.scales, "is_augmented": cfg.TEST.AUG.ENABLED}

    @torch.no_grad()
    def forward(self, batched_inputs: list[dict]) -> list[dict]:
        """
        Args:
            batched_inputs: one dict per image with ``image`` (3, H, W), resized by the scale or,
                where that is too large and with test-time augmentation, in its original size, which
                is ``height`` and ``width``.

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
        if self.is_augmented:
            return False
        (scale,) = self.choice.scales
        # The mapper leaves the size of images that would get too large.
        is_left = given == original != scale.resized(original) and (
            math.prod(scale.resized(original)) > self.choice.max_pixels
        )
        return not is_left and self.choice.fits(given)

    def _look(self, inputs: dict) -> Instances:
        given, original = _sizes(inputs)
        choice = self.choice
        if not self.is_augmented and given != original:
            # Nothing but the resized copy is there to be looked at.
            choice = replace(choice, scales=(ImageScale(factor=1.0),))
            inputs = {"image": inputs["image"]}
        scales = choice.scales_for(original if inputs.keys() >= {"height", "width"} else given)
        detector = DenseDetectorWithTTA(model=self.model, scales=scales, **self.options)
        return to_size(detector([inputs])[0]["instances"], original)


def _sizes(inputs: dict) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of an image as it comes, and of its original."""
    height, width = inputs["image"].shape[1:]
    return (height, width), (inputs.get("height", height), inputs.get("width", width))
