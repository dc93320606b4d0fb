"""Faces in images of any kind, by a trained detector."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeTransform
from detectron2.modeling import build_model
from detectron2.structures import Instances
from torch import Tensor

from df2s2_d2.config import load_config, merge_overrides
from df2s2_d2.hardware import usable_device
from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.inference.fast_path import optimize
from df2s2_d2.inference.image_batches import BATCHES_TOGETHER, batches, chunks
from df2s2_d2.inference.image_input import ImageLike, as_image
from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_trained,
    without_training_parts,
)
from df2s2_d2.modeling import DenseDetectorWithTTA, FaceDetector
from df2s2_d2.modeling.multi_scale import check_test_time_augmentation
from df2s2_d2.modeling.multi_scale.image_scales import ImageScale
from df2s2_d2.modeling.multi_scale.scale_choice import ScaleChoice
from df2s2_d2.modeling.multi_scale.tiling import padded_size

_IMAGE_FORMATS = ("BGR", "RGB")


@dataclass(frozen=True)
class _Prepared:
    """An image before detection: resized, if the model gets one copy of it in one piece.

    Attributes:
        image: (3, H, W) uint8.
        original_size: (height, width).
        scales: sizes in which the model is to look at it; empty if it is resized already.
    """

    image: Tensor
    original_size: tuple[int, int]
    scales: list[ImageScale]


class Predictor:
    """Finds faces in images, given as paths, arrays or tensors.

    It needs neither data sets nor the training code's environment. Images are resized as the
    config says (``INPUT.MIN_SIZE_TEST``, or the scales of ``TEST.AUG`` if that is enabled). Every
    image gets the detections that it gets alone, whatever it is in a batch with. The model gets at
    most ``TEST.AUG.MAX_PIXELS`` at once, so that memory is bounded: larger copies are looked at in
    overlapping tiles, and in a copy that fits for the faces that these cut.

    Attributes:
        cfg: what the detector was built by.
        model: the detector, optimized for inference.

    Args:
        model: path of a checkpoint that carries its config, path of a ``.yaml`` config, or a
            config; the latter two name a checkpoint in ``MODEL.WEIGHTS``.
        overrides: ``[key, value, ...]`` over the config. ``MODEL.DEVICE`` "cuda" becomes "cpu"
            where there is no GPU.
        batch_size: most images that the model gets at once; fewer if they have more pixels than
            ``TEST.AUG.MAX_PIXELS`` together.
        tile_above: images with a longer side, in pixels, are also looked at in their original
            size, in tiles, so that their small faces are found; 0 = none.
        precision: of the arithmetic, see :func:`~df2s2_d2.inference.fast_path.optimize`.
        image_format: order of the channels of arrays and tensors, "BGR" (OpenCV's) or "RGB".

    Raises:
        FileNotFoundError, ValueError: if the config, the checkpoint or an argument is wrong; says
            which, and what to do.
    """

    def __init__(
        self,
        model: str | os.PathLike | CfgNode,
        *,
        overrides: list | tuple = (),
        batch_size: int = 8,
        tile_above: int = 4096,
        precision: str = "fp32",
        image_format: str = "BGR",
    ):
        if batch_size < 1 or tile_above < 0:
            raise ValueError(
                "expected batch_size of at least 1 and tile_above of at least 0, found "
                f"{batch_size} and {tile_above}"
            )
        self.cfg = _config(model, overrides)
        for name, value in (
            ("image_format", image_format),
            ("INPUT.FORMAT", self.cfg.INPUT.FORMAT),
        ):
            if value not in _IMAGE_FORMATS:
                raise ValueError(f"{name}: expected BGR or RGB, found {value!r}")
        self.batch_size = batch_size
        self.image_format = image_format
        detector = build_model(self.cfg).eval()
        if not isinstance(detector, FaceDetector):
            raise ValueError(
                f"MODEL.META_ARCHITECTURE is {self.cfg.MODEL.META_ARCHITECTURE}: a Predictor needs "
                "a FaceDetector"
            )
        load_trained(detector, self.cfg.MODEL.WEIGHTS)
        self.model = optimize(detector, precision)
        self.divisor = max(1, detector.backbone.size_divisibility)
        self.choice = ScaleChoice.from_config(self.cfg, tile_above, self.divisor)

    def __call__(self, images: ImageLike | Iterable[ImageLike]) -> Instances | list[Instances]:
        """Find the faces in one image, or in each of several.

        Args:
            images: one image, or a list, tuple or iterator of images; for what an image is see
                :func:`~df2s2_d2.inference.image_input.as_image`.

        Returns:
            For an image its detections on the CPU, by descending score: ``pred_boxes`` in pixels
            of the upright original, ``scores``, and ``pred_classes`` (all 0, face). For several
            images a list, in their order.

        Raises:
            OSError: if a file cannot be read; names it.
            ValueError: if an array or a tensor is not an image; says which, and why.
        """
        is_one = isinstance(images, (str, os.PathLike, np.ndarray, Tensor))
        # What is neither is no image, and refused as one: OpenCV gives None for a missing file.
        if is_one or not isinstance(images, Iterable):
            return next(self.stream([images]))
        return list(self.stream(images))

    def stream(self, images: Iterable[ImageLike]) -> Iterator[Instances]:
        """As a call with several images, but lazily: for videos and folders of any length.

        A few batches of images are taken ahead. If an image is at fault, the detections of all
        images before it are given first, and the iteration ends with the error.

        Args:
            images: see :meth:`__call__`.

        Yields:
            The detections of each image, in order.
        """
        prepared = (self._prepare(index, image) for index, image in enumerate(images))
        for chunk in chunks(
            ((item, item.image[0].numel()) for item in prepared),
            max_items=BATCHES_TOGETHER * self.batch_size,
            max_cost=BATCHES_TOGETHER * self.choice.max_pixels,
        ):
            yield from self._detect(chunk)

    def _prepare(self, index: int, image: ImageLike) -> _Prepared:
        try:
            pixels = as_image(image, self.image_format, self.cfg.INPUT.FORMAT)
        except ValueError as error:
            raise ValueError(f"Image {index}: {error}") from error
        size = pixels.shape[:2]
        scales = self.choice.scales_for(size)
        if self.cfg.TEST.AUG.ENABLED or len(scales) > 1:
            # Large images are copied only if they are mirrored or read-only views.
            pixels = np.require(pixels, requirements=["C", "W"])
            return _Prepared(torch.from_numpy(pixels).permute(2, 0, 1), size, scales)
        pixels = ResizeTransform(*size, *scales[0].resized(size)).apply_image(pixels)
        return _Prepared(torch.from_numpy(pixels.transpose(2, 0, 1).copy()), size, [])

    @torch.no_grad()
    def _detect(self, images: list[_Prepared]) -> list[Instances]:
        detections: dict[int, Instances] = {}
        plain = [index for index, item in enumerate(images) if not item.scales]
        sizes = [padded_size(images[i].image.shape[1:], self.divisor) for i in plain]
        for batch in batches(sizes, self.batch_size, self.choice.max_pixels):
            indices = [plain[i] for i in batch]
            inputs = []
            for index in indices:
                height, width = images[index].original_size
                inputs.append({"image": images[index].image, "height": height, "width": width})
            for index, output in zip(indices, self.model(inputs), strict=True):
                detections[index] = output["instances"].to("cpu")
        for index, item in enumerate(images):
            if item.scales:
                detections[index] = self._detect_in_scales(item)
        return [detections[index] for index in range(len(images))]

    def _detect_in_scales(self, item: _Prepared) -> Instances:
        merge = self.cfg.TEST.AUG.MERGE if self.cfg.TEST.AUG.ENABLED else "nms"
        detector = DenseDetectorWithTTA(self.cfg, self.model, scales=item.scales, merge=merge)
        return detector([{"image": item.image}])[0]["instances"].to("cpu")


def _config(model: str | os.PathLike | CfgNode, overrides: list | tuple) -> CfgNode:
    """The checked config of a detector without the parts that only training needs."""
    if isinstance(model, CfgNode):
        cfg = model.clone()
        cfg.defrost()
    elif os.fspath(model).endswith((".yaml", ".yml")):
        cfg = load_config(os.fspath(model))
    else:
        cfg = config_of(os.fspath(model))
    merge_overrides(cfg, overrides)
    if not cfg.MODEL.WEIGHTS:
        raise ValueError(
            "The config names no trained model: set MODEL.WEIGHTS, such as by "
            'overrides=["MODEL.WEIGHTS", "model.pth"]'
        )
    check_weights_file("MODEL.WEIGHTS", cfg.MODEL.WEIGHTS)
    check_test_time_augmentation(cfg)
    cfg.MODEL.DEVICE = usable_device(cfg.MODEL.DEVICE)
    return without_training_parts(cfg)
