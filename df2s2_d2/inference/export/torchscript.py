"""A detector as a TorchScript file, for PyTorch without this package, in Python or C++."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from df2s2_d2.inference.export.exportable_detector import (
    ExportableDetector,
    example_images,
    expected_warnings_ignored,
)
from df2s2_d2.modeling import FaceDetector

# Name of the file inside the archive, for the `_extra_files` of torch.jit.load.
METADATA_FILE = "metadata.json"


def export_torchscript(detector: FaceDetector, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a TorchScript file that holds nothing but what inference needs.

    Its module maps ``images`` as :meth:`ExportableDetector.forward` does, and can be moved to any
    device.

    Args:
        detector: to be written.
        path: of the file.
        metadata: written into the archive as ``metadata.json``.
    """
    exportable = ExportableDetector(detector, suppress_image_by_image)
    with expected_warnings_ignored():
        traced = torch.jit.trace(exportable, example_images(), check_trace=False)
        torch.jit.save(traced, path, _extra_files={METADATA_FILE: json.dumps(dict(metadata))})


@torch.jit.script_if_tracing
def suppress_image_by_image(
    boxes: Tensor,
    scores: Tensor,
    score_threshold: float,
    nms_threshold: float,
    max_detections: int,
) -> Tensor:
    """A :data:`~df2s2_d2.inference.export.exportable_detector.Suppression` in PyTorch.

    It becomes a script in the trace, with a loop over as many images as there are.
    """
    num_images, num_candidates = scores.shape
    kept = [torch.zeros(0, dtype=torch.int64, device=scores.device)]
    for image in range(num_images):
        places = (scores[image] > score_threshold).nonzero()[:, 0]
        # In double precision, as in the detector itself.
        chosen = torchvision.ops.nms(
            boxes[image, places].double(), scores[image, places].double(), nms_threshold
        )
        kept.append(places[chosen[:max_detections]] + image * num_candidates)
    return torch.cat(kept)
