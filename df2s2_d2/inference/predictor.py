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
from torch import Tensor, nn

from df2s2_d2.config import load_config, merge_overrides
from df2s2_d2.hardware import usable_device
from df2s2_d2.inference.checkpoint_config import config_of
from df2s2_d2.inference.face_finder import FaceFinder, check_image_format
from df2s2_d2.inference.faces import Faces
from df2s2_d2.inference.fast_path import optimize
from df2s2_d2.inference.image_batches import BATCHES_TOGETHER, batches, chunks
from df2s2_d2.inference.image_input import ImageLike
from df2s2_d2.inference.runtimes import is_exported
from df2s2_d2.inference.runtimes.choice import choose_runtime, engine_detector
from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_trained,
    without_training_parts,
)
from df2s2_d2.modeling import DenseDetectorWithTTA, FaceDetector
from df2s2_d2.modeling.meta_arch_settings import (
    META_ARCHITECTURES,
    detection_thresholds,
    number_of_classes,
)
from df2s2_d2.modeling.multi_scale import check_test_time_augmentation
from df2s2_d2.modeling.multi_scale.image_scales import ImageScale
from df2s2_d2.modeling.multi_scale.scale_choice import ScaleChoice
from df2s2_d2.modeling.multi_scale.tiling import padded_size

# Pixels of a side: larger photographs are of many people, whose faces a test size makes too small.
TILE_ABOVE = 4096


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


class Predictor(FaceFinder[Instances]):
    """Finds faces in images, folders and videos, by PyTorch or by an engine for the CPU.

    It needs neither data sets nor the training code's environment. What it is called with, and
    what it gives, is told by :meth:`__call__`, :meth:`find`, :meth:`stream` and :meth:`search`;
    its detections are detectron2's Instances on the CPU: ``pred_boxes`` in pixels of the upright
    original, ``scores`` and ``pred_classes``, by descending score.

    Images are resized as the config says (``INPUT.MIN_SIZE_TEST``, or the scales of ``TEST.AUG`` if
    that is enabled). Every image gets the detections that it gets alone, whatever it is in a batch
    with. The model gets at most ``TEST.AUG.MAX_PIXELS`` at once, so that memory is bounded: larger
    copies are looked at in overlapping tiles, and in a copy that fits for the faces that these cut.

    Any detector that the Trainer trains will do: a FaceDetector, on the fast path, or detectron2's
    RetinaNet or Faster R-CNN, as they are.

    Attributes:
        cfg: what the detector was built by.
        runtime: what computes it: "torch", "onnx" or "openvino".
        model: the detector as that runs it; in PyTorch a FaceDetector optimized for inference.

    Args:
        model: name of a model, such as "faces-small"; path of a checkpoint that carries its
            config, or of a file of ``df2s2 export``; path of a ``.yaml`` config, or a config,
            which name one of these in ``MODEL.WEIGHTS``.
        overrides: ``[key, value, ...]`` over the config. ``MODEL.DEVICE`` "cuda" becomes "cpu"
            where there is no GPU.
        batch_size: most images that the model gets at once; fewer if they have more pixels than
            ``TEST.AUG.MAX_PIXELS`` together.
        tile_above: images with a longer side, in pixels, are also looked at in their original
            size, in tiles, so that their small faces are found; 0 = none.
        precision: of the arithmetic, see :func:`~df2s2_d2.inference.fast_path.optimize`, and of
            engines :func:`~df2s2_d2.inference.runtimes.open_engine`; other models than a
            FaceDetector run in "fp32".
        image_format: order of the channels of arrays and tensors, "BGR" (OpenCV's) or "RGB".
        face_class: number of the class that is the face, in models with several classes, whose
            other detections are left out; None gives those of all classes.
        runtime: what computes the network: "torch", "onnx" (ONNX Runtime), "openvino", or "auto",
            the fastest that finds the same, see
            :func:`~df2s2_d2.inference.runtimes.choice.choose_runtime`. Engines run FaceDetectors,
            on the CPU.

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
        tile_above: int = TILE_ABOVE,
        precision: str = "fp32",
        image_format: str = "BGR",
        face_class: int | None = 0,
        runtime: str = "auto",
    ):
        super().__init__(batch_size=batch_size, image_format=image_format)
        if tile_above < 0:
            raise ValueError(f"expected tile_above of at least 0, found {tile_above}")
        self.face_class = face_class
        self.cfg = _config(model, overrides)
        _check_class(face_class, self.cfg)
        check_image_format("INPUT.FORMAT", self.cfg.INPUT.FORMAT)
        self.runtime = choose_runtime(runtime, self.cfg, precision)
        if self.runtime != "torch":
            self.cfg.MODEL.DEVICE = "cpu"
        weights = self.cfg.MODEL.WEIGHTS
        detector = build_model(self.cfg).eval()
        if not is_exported(weights):
            load_trained(detector, weights)
        if self.runtime == "torch":
            self.model = _for_inference(detector, precision)
        else:
            self.model = engine_detector(self.runtime, self.cfg, detector, precision)
        self.divisor = max(1, detector.backbone.size_divisibility)
        self.choice = ScaleChoice.from_config(self.cfg, tile_above, self.divisor)

    def _as_faces(self, detections: Instances) -> Faces:
        return Faces.from_instances(detections)

    def _detect_each(self, images: Iterable[ImageLike]) -> Iterator[Instances]:
        prepared = (self._prepare(index, image) for index, image in enumerate(images))
        for chunk in chunks(
            ((item, item.image[0].numel()) for item in prepared),
            max_items=BATCHES_TOGETHER * self.batch_size,
            max_cost=BATCHES_TOGETHER * self.choice.max_pixels,
        ):
            yield from map(self._of_faces, self._detect(chunk))

    def _of_faces(self, detections: Instances) -> Instances:
        if self.face_class is None:
            return detections
        return detections[detections.pred_classes == self.face_class]

    def _prepare(self, index: int, image: ImageLike) -> _Prepared:
        pixels = self._pixels(index, image, self.cfg.INPUT.FORMAT)
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
        detector = DenseDetectorWithTTA(
            self.cfg,
            self.model,
            scales=item.scales,
            merge=merge,
            size_divisibility=self.divisor,
        )
        return detector([{"image": item.image}])[0]["instances"].to("cpu")


def _check_class(face_class: int | None, cfg: CfgNode) -> None:
    classes = number_of_classes(cfg)
    if face_class is None or classes is None or 0 <= face_class < classes[1]:
        return
    key, number = classes
    raise ValueError(
        f"face_class is {face_class}, but the last class of the model is {number - 1} ({key})"
    )


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
    if not detection_thresholds(cfg):
        raise ValueError(
            f"MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE}: a Predictor needs one of "
            f"{', '.join(META_ARCHITECTURES)}, or one derived from them"
        )
    cfg.MODEL.DEVICE = usable_device(cfg.MODEL.DEVICE)
    return without_training_parts(cfg)


def _for_inference(detector: nn.Module, precision: str) -> nn.Module:
    """A FaceDetector on the fast path, others as they are.

    Raises:
        ValueError: if the precision is none for this detector.
    """
    if isinstance(detector, FaceDetector):
        return optimize(detector, precision)
    kind = type(detector).__name__
    if precision not in ("auto", "fp32"):
        raise ValueError(
            f"precision: a {kind} runs in fp32, and only a FaceDetector in others too; found "
            f"{precision!r}"
        )
    return detector.requires_grad_(False)
