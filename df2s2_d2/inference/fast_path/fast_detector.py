"""A trained detector made fast: the same function, arranged as the hardware likes it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from detectron2.structures import ImageList
from torch import Tensor, nn

from df2s2_d2.hardware import multiplies_bfloat16_fast
from df2s2_d2.inference.fast_path.cuda_graphs import GraphedFunction
from df2s2_d2.inference.fast_path.upsampling import UpsampleByProduct
from df2s2_d2.inference.fast_path.winograd import WinogradConv2d
from df2s2_d2.inference.fold_norms import fold_norms
from df2s2_d2.modeling import FaceDetector

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# Narrower convolutions gain nothing from Winograd's filtering, and the transformed weights of
# wider ones take four times the memory where there are few places to apply them to.
_WINOGRAD_MIN_WIDTH = 128
_WINOGRAD_MAX_WEIGHTS = 512 * 512


def optimize(
    model: FaceDetector, precision: str = "fp32", compile: bool = False
) -> FastFaceDetector:
    """A copy of a detector for inference, with its interface, that is faster.

    Batch norms are folded, parts that only training needs are gone, maps lie channels last in
    memory. In fp32 on a CPU, wide 3x3 convolutions are computed by Winograd's filtering. On a GPU,
    everything up to NMS runs as one CUDA graph for each of the latest shapes of batches.

    Boxes and scores are the same within: in fp32, IoU 0.999 and 0.001 of a score; in fp16 and
    bf16, for scores from 0.5, IoU 0.9 and 0.05. Of boxes whose scores are as near as that, NMS may
    keep another.

    Args:
        model: a detector; it is not changed.
        precision: of weights and maps: "fp32", "bf16", "fp16", or "auto", which is bf16 where the
            hardware multiplies it faster and fp32 elsewhere. Boxes and scores are always float32.
            fp16 is more exact than bf16 but ends at 65504, which the products of fusing necks
            can exceed.
        compile: whether ``torch.compile`` fuses the layers between convolutions too. It needs a
            compiler, and up to minutes for the first images; changing sizes compile again. Meant
            for GPUs; on CPUs it gains nothing.

    Raises:
        TypeError: if the model is no FaceDetector.
        ValueError: if the precision is none of these, or cannot hold the weights.
    """
    if not isinstance(model, FaceDetector):
        raise TypeError(
            f"the fast path is for a FaceDetector, found a {type(model).__name__}: build the model "
            "with MODEL.META_ARCHITECTURE FaceDetector"
        )
    if precision not in ("auto", *PRECISIONS):
        raise ValueError(f"precision: expected auto, {', '.join(PRECISIONS)}; found {precision!r}")
    if precision == "auto":
        precision = "bf16" if multiplies_bfloat16_fast(model.device) else "fp32"
    return FastFaceDetector(model, PRECISIONS[precision], compile)


class FastFaceDetector(FaceDetector):
    """A detector arranged by :func:`optimize`; for inference only.

    The number of its candidates cannot be changed any more.

    Args:
        model: is copied.
        dtype: of weights and maps.
        compile: whether backbone and head are compiled.
    """

    def __init__(self, model: FaceDetector, dtype: torch.dtype, compile: bool):
        model = copy.deepcopy(model).eval().requires_grad_(False)
        model.drop_training_parts()
        fold_norms(model)
        super().__init__(
            backbone=model.backbone,
            shot=model.shot,
            pixel_mean=model.pixel_mean.flatten().tolist(),
            pixel_std=model.pixel_std.flatten().tolist(),
            score_threshold=model.score_threshold,
            num_candidates=model.num_candidates,
            nms_threshold=model.nms_threshold,
            max_detections=model.max_detections,
            round_boxes_outward=model.round_boxes_outward,
        )
        self.to(model.device).eval()
        self.dtype = dtype
        for part in (self.backbone, self.shot.head):
            part.to(dtype=dtype, memory_format=torch.channels_last)
        _check_held(self, dtype)
        _replace(self, nn.ConvTranspose2d, UpsampleByProduct.replaces, UpsampleByProduct)
        if self.device.type == "cpu" and dtype == torch.float32:
            _replace(self, nn.Conv2d, _gains_from_winograd, WinogradConv2d)
        if compile:
            self.backbone.compile()
            self.shot.head.compile()
        self.graphs = None
        if self.device.type == "cuda":
            self.graphs = GraphedFunction(super().candidates)

    def train(self, mode: bool = True) -> FastFaceDetector:
        """Refuse training mode.

        Raises:
            RuntimeError: if it is asked for.
        """
        if mode:
            raise RuntimeError("an optimized detector cannot be trained: train the original")
        return super().train(mode)

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        images = super().preprocess_image(batched_inputs)
        batch = images.tensor.to(dtype=self.dtype, memory_format=torch.channels_last)
        return ImageList(batch, images.image_sizes)

    def candidates(self, images: Tensor, image_sizes: Tensor) -> tuple[Tensor, Tensor]:
        find = self.graphs or super().candidates
        return find(images, image_sizes)


def _replace(
    model: nn.Module,
    kind: type[nn.Module],
    condition: Callable[[nn.Module], bool],
    replacement: Callable[[nn.Module], nn.Module],
) -> None:
    """Put replacements for all parts of a kind that meet the condition."""
    for parent in list(model.modules()):
        for name, module in parent.named_children():
            if isinstance(module, kind) and condition(module):
                setattr(parent, name, replacement(module))


def _check_held(model: nn.Module, dtype: torch.dtype) -> None:
    """Check that all weights became numbers of a type.

    Raises:
        ValueError: naming one that exceeds it.
    """
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise ValueError(
                f"{name} holds numbers that are not finite in {str(dtype).removeprefix('torch.')}: "
                "choose another precision, or sound weights"
            )


def _gains_from_winograd(conv: nn.Conv2d) -> bool:
    widths = conv.in_channels, conv.out_channels
    return (
        WinogradConv2d.replaces(conv)
        and min(widths) >= _WINOGRAD_MIN_WIDTH
        and widths[0] * widths[1] <= _WINOGRAD_MAX_WEIGHTS
    )
