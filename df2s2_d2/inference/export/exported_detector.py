"""Running an exported file, and comparing what it finds with what the detector finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from df2s2_d2.inference.export.exportable_detector import expected_warnings_ignored
from df2s2_d2.inference.export.torchscript import METADATA_FILE
from df2s2_d2.inference.runtimes import engine_for, is_exported, open_engine
from df2s2_d2.modeling.postprocessing import Detections


class ExportedDetector:
    """An exported file on the CPU.

    Args:
        path: of a file that :func:`~df2s2_d2.inference.export.export_detector` wrote.

    Attributes:
        metadata: see :func:`~df2s2_d2.inference.export.describe_detector`.

    Raises:
        ImportError: if the engine for the file is missing: ONNX Runtime, or OpenVINO.
        ValueError: if it is another file; names it.
    """

    def __init__(self, path: str | Path):
        path = Path(path)
        open_file = _open_by_engine if is_exported(str(path)) else _open_torchscript
        self._run, self.metadata = open_file(path)

    def __call__(self, images: Tensor) -> Detections:
        """Detections in ``images``, (N, 3, H, W) uint8, in their pixels."""
        return Detections(*self._run(images))


Opened = tuple[Callable[[Tensor], Sequence[Tensor]], Mapping[str, str]]


def _open_by_engine(path: Path) -> Opened:
    engine = open_engine(engine_for(str(path)), str(path))

    def run(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(x) for x in engine.run(images.numpy())]

    return run, engine.metadata


def _open_torchscript(path: Path) -> Opened:
    files = {METADATA_FILE: ""}
    try:
        with expected_warnings_ignored():
            module = torch.jit.load(str(path), map_location="cpu", _extra_files=files)
        metadata = json.loads(files[METADATA_FILE])
    except (RuntimeError, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is no TorchScript file of `df2s2 export`: {reason}") from error
    return module, metadata


class Difference(NamedTuple):
    """How far two lists of detections in the same images are apart.

    Attributes:
        pairs: detections that both have: each fits the other best, and they overlap enough.
        unmatched: detections that only one of them has.
        min_iou: lowest overlap of a pair; 1 without pairs.
        max_score_difference: of a pair; 0 without pairs.
    """

    pairs: int
    unmatched: int
    min_iou: float
    max_score_difference: float


def difference(
    a: Detections, b: Detections, min_score: float = 0.0, min_iou: float = 0.5
) -> Difference:
    """Compare what two detectors found in one batch of images.

    Args:
        a, b: in pixels of the same images.
        min_score: detections count that score as much in one of them; their partners may score
            less.
        min_iou: by more than which the boxes of a pair overlap.
    """
    counted = [found.scores >= min_score for found in (a, b)]
    num_counted = sum(int(mask.sum()) for mask in counted)
    if not (len(a.scores) and len(b.scores)):
        return Difference(0, num_counted, 1.0, 0.0)
    ious = box_iou(a.boxes.double(), b.boxes.double())
    ious = ious * (a.image_index[:, None] == b.image_index)
    score_differences = (a.scores[:, None] - b.scores).abs()
    # Boxes that are rounded to whole pixels may be equal; their scores tell them apart.
    fit = ious - score_differences
    in_b = fit.argmax(dim=1)
    in_a = (fit.argmax(dim=0)[in_b] == torch.arange(len(fit))).nonzero()[:, 0]
    in_a = in_a[ious[in_a, in_b[in_a]] > min_iou]
    in_a = in_a[counted[0][in_a] | counted[1][in_b[in_a]]]
    pairs = in_a, in_b[in_a]
    num_paired = int(counted[0][pairs[0]].sum() + counted[1][pairs[1]].sum())
    return Difference(
        pairs=len(in_a),
        unmatched=num_counted - num_paired,
        min_iou=min(ious[pairs].tolist(), default=1.0),
        max_score_difference=max(score_differences[pairs].tolist(), default=0.0),
    )
