"""What is exported: a detector from raw images to detections, made to be traced."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from detectron2.layers import move_device_like
from torch import Tensor, nn

from df2s2_d2.inference.fast_path import FastFaceDetector
from df2s2_d2.inference.fold_norms import fold_norms
from df2s2_d2.modeling import FaceDetector
from df2s2_d2.modeling.boxes import clip_boxes, nonempty, round_outward

# Takes boxes (N, C, 4), scores (N, C), descending, and the detector's score_threshold,
# nms_threshold and max_detections. Returns places (D,) int64, n x C + c of each box that is kept,
# ascending. A score below 0 is never kept.
Suppression = Callable[[Tensor, Tensor, float, float, int], Tensor]


class ExportableDetector(nn.Module):
    """Normalisation, padding, network, decoding, top-k and NMS; images of any size and number.

    Args:
        detector: stays as it is; what is traced is a copy in single precision, on the CPU, in
            evaluation mode, without what only training needs, and with norms folded.
        suppress: drops low scores and duplicates in each image.

    Raises:
        ValueError: if the model is no FaceDetector, or an optimized one.
    """

    def __init__(self, detector: FaceDetector, suppress: Suppression):
        super().__init__()
        if not isinstance(detector, FaceDetector):
            raise ValueError(
                f"a {type(detector).__name__} cannot be exported: MODEL.META_ARCHITECTURE has to "
                "be FaceDetector"
            )
        if isinstance(detector, FastFaceDetector):
            raise ValueError(
                "an optimized detector cannot be exported: export the one that it was made of"
            )
        self.detector = copy.deepcopy(detector).cpu().float()
        self.suppress = suppress
        self.eval()
        self.detector.drop_training_parts()
        fold_norms(self.detector)
        # A trace knows of parameters alone whether there are to be gradients.
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            images: (N, 3, H, W), uint8 or float32 from 0 to 255, channels in the order of the
                config's INPUT.FORMAT.

        Returns:
            The fields of :class:`~df2s2_d2.modeling.postprocessing.Detections`, boxes in pixels
            of ``images``.
        """
        detector = self.detector
        num_images, _, height, width = images.shape
        # As a tensor, which a trace follows.
        image_size = move_device_like(torch._shape_as_tensor(images)[-2:], images)
        image_sizes = image_size.expand(num_images, 2)
        normalized = (images.to(torch.float32) - detector.pixel_mean) / detector.pixel_std
        divisor = detector.backbone.size_divisibility
        padded = F.pad(normalized, (0, -width % divisor, 0, -height % divisor))

        boxes, scores = detector.candidates(padded, image_sizes)
        boxes = clip_boxes(boxes, image_sizes[:, None])
        scores = torch.where(nonempty(boxes), scores, -1.0)
        kept = self.suppress(
            boxes,
            scores,
            detector.score_threshold,
            detector.nms_threshold,
            detector.max_detections,
        )
        image_index = kept // scores.shape[1]
        boxes = boxes.flatten(0, 1)[kept]
        if detector.round_boxes_outward:
            boxes = clip_boxes(round_outward(boxes), image_size)
        return boxes, scores.flatten()[kept], image_index


def example_images() -> Tensor:
    """Images to trace with; of a size that needs padding, on both sides differently."""
    return torch.zeros(2, 3, 100, 150, dtype=torch.uint8)


@contextmanager
def expected_warnings_ignored() -> Iterator[None]:
    """Keeps the screen free of the warnings of tracing that are known to mean nothing here."""
    with warnings.catch_warnings():
        # The number of anchors per cell is a constant indeed.
        warnings.filterwarnings(
            "ignore", "Using len to get tensor shape", torch.jit.TracerWarning, r".*anchors"
        )
        # torch checks that group norms get more than one value, which they do in any image.
        warnings.filterwarnings(
            "ignore", "Converting a tensor", torch.jit.TracerWarning, r"torch\.nn\.functional"
        )
        # PyTorch wants its users to leave TorchScript, which is what is asked for here, and the
        # ONNX exporter that is made of it, which alone needs no further package.
        warnings.filterwarnings("ignore", r"`torch\.jit\.", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.", DeprecationWarning)
        warnings.filterwarnings("ignore", ".*legacy TorchScript-based ONNX", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        yield
