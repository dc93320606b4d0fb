"""Whether an exported file finds in photographs what the detector finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from torch import Tensor
from tqdm import tqdm

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.inference.export.exported_detector import Difference, ExportedDetector, difference
from df2s2_d2.modeling import FaceDetector
from df2s2_d2.modeling.postprocessing import Detections


@dataclass(frozen=True)
class Tolerance:
    """How far an exported file may be from the detector.

    Attributes:
        min_score: of detections that have to be found by both.
        min_iou: of the boxes of one.
        max_score_difference: of its scores.
        max_unmatched: share of the detections in an image that only one of the two may have.
    """

    min_score: float
    min_iou: float
    max_score_difference: float
    max_unmatched: float = 0.0

    def __str__(self) -> str:
        scores = f" of scores from {self.min_score:g}" if self.min_score else ""
        some = f", only in one at most {self.max_unmatched:.0%}" if self.max_unmatched else ""
        return f"IoU {self.min_iou:g}, score {self.max_score_difference:g}{scores}{some}"

    def allows(self, found: Difference) -> bool:
        """Whether an image's detections, paired by ``min_iou``, are near enough."""
        detections = 2 * found.pairs + found.unmatched
        return (
            found.unmatched <= self.max_unmatched * detections
            and found.max_score_difference <= self.max_score_difference
        )


# The same arithmetic in another order. Of boxes whose scores differ by a rounding, suppression may
# keep another one, and with it others below: so it does for a few of hundreds of low scores.
EXACT = Tolerance(min_score=0.0, min_iou=0.999, max_score_difference=1e-3, max_unmatched=0.01)
# Faces that are shown; what is near the threshold may pass it.
QUANTIZED = Tolerance(min_score=0.5, min_iou=0.7, max_score_difference=0.2)


def check_images(
    paths: Sequence[str],
    detector: FaceDetector,
    cfg: CfgNode,
    exported: ExportedDetector,
    tolerance: Tolerance = EXACT,
) -> None:
    """Compare what a detector and its exported file find, and print a line for each image.

    Args:
        paths: of the images, which are looked at in the one size of ``INPUT``.
        detector: on the CPU.
        cfg: of the detector.
        exported: its file.
        tolerance: that it has to keep.

    Raises:
        ValueError: if an image cannot be read, or more differs in one than may; after all images.
    """
    cfg = cfg.clone()
    cfg.TEST.AUG.ENABLED = False
    mapper = FaceDatasetMapper(cfg, is_train=False)
    failed = []
    for path in tqdm(paths, unit="image", disable=None):
        try:
            image = mapper({"file_name": path, "image_id": path})["image"]
        except OSError as error:
            failed.append(path)
            tqdm.write(str(error), file=sys.stderr)
            continue
        found = _compare(image, detector, exported, tolerance)
        tqdm.write(
            f"{path}: {found.pairs} detections, lowest IoU {found.min_iou:.6f}, largest difference "
            f"of scores {found.max_score_difference:.1e}, only in one {found.unmatched}",
            file=sys.stdout,
        )
        if not tolerance.allows(found):
            failed.append(path)
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(paths)} images failed the check ({tolerance}), the first "
            f"{failed[0]}"
        )


@torch.no_grad()
def _compare(
    image: Tensor, detector: FaceDetector, exported: ExportedDetector, tolerance: Tolerance
) -> Difference:
    found: Instances = detector([{"image": image}])[0]["instances"]
    expected = Detections(
        found.pred_boxes.tensor, found.scores, torch.zeros_like(found.pred_classes)
    )
    return difference(expected, exported(image[None]), tolerance.min_score, tolerance.min_iou)
