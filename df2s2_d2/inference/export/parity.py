"""Whether an exported file finds in photographs what the detector finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from tqdm import tqdm

from df2s2_d2.data import FaceDatasetMapper
from df2s2_d2.inference.export.exported_detector import Difference, ExportedDetector, difference
from df2s2_d2.modeling import FaceDetector
from df2s2_d2.modeling.postprocessing import Detections

MIN_IOU, MAX_SCORE_DIFFERENCE = 0.999, 1e-3


def check_images(
    paths: Sequence[str], detector: FaceDetector, cfg: CfgNode, exported: ExportedDetector
) -> None:
    """Compare what a detector and its exported file find, and print a line for each image.

    Args:
        paths: of the images.
        detector: on the CPU.
        cfg: of the detector.
        exported: its file.

    Raises:
        ValueError: if an image cannot be read, or more differs in one than ``MIN_IOU`` and
            ``MAX_SCORE_DIFFERENCE`` let pass; after all images.
    """
    failed = []
    for path in tqdm(paths, unit="image", disable=None):
        try:
            found = _compare(path, detector, cfg, exported)
        except OSError as error:
            failed.append(path)
            tqdm.write(str(error), file=sys.stderr)
            continue
        tqdm.write(
            f"{path}: {found.pairs} detections, lowest IoU {found.min_iou:.6f}, largest difference "
            f"of scores {found.max_score_difference:.1e}, only in one {found.unmatched}",
            file=sys.stdout,
        )
        if (
            found.unmatched
            or found.min_iou < MIN_IOU
            or found.max_score_difference > MAX_SCORE_DIFFERENCE
        ):
            failed.append(path)
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(paths)} images failed the check (IoU {MIN_IOU}, score "
            f"{MAX_SCORE_DIFFERENCE:g}), the first {failed[0]}"
        )


@torch.no_grad()
def _compare(
    path: str, detector: FaceDetector, cfg: CfgNode, exported: ExportedDetector
) -> Difference:
    record = FaceDatasetMapper(cfg, is_train=False)({"file_name": path, "image_id": path})
    image = record["image"]
    found: Instances = detector([{"image": image}])[0]["instances"]
    expected = Detections(
        found.pred_boxes.tensor, found.scores, torch.zeros_like(found.pred_classes)
    )
    return difference(expected, exported(image[None]))
