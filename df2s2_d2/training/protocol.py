"""The protocol of a config's tests, to stand beside their figures."""

from __future__ import annotations

import os

from detectron2.config import CfgNode
from detectron2.utils.events import get_event_storage, has_event_storage

from df2s2_d2.evaluation.protocol import Protocol, file_sha256
from df2s2_d2.modeling.detection_thresholds import detection_thresholds
from df2s2_d2.modeling.multi_scale.image_scales import image_scales
from df2s2_d2.models import local_file
from df2s2_d2.test_protocols import protocol_name


def protocol_of(cfg: CfgNode) -> Protocol:
    """How test images are scaled, by which weights faces are sought, and which of them are kept.

    It has the name of a published test only if every key of that test is as published.
    Weights are named by the file MODEL.WEIGHTS; inside a training loop, where they lie in no file
    yet, by the iteration as metrics.json gives it.
    """
    size = cfg.INPUT.MIN_SIZE_TEST
    resize = f"short side {size}" if size else "original size"
    if size and cfg.INPUT.MAX_SIZE_TEST:
        resize += f", long side at most {cfg.INPUT.MAX_SIZE_TEST}"
    thresholds = detection_thresholds(cfg)
    path = cfg.MODEL.WEIGHTS
    file = local_file(path)
    in_training = has_event_storage()
    return Protocol(
        name=protocol_name(cfg),
        **(_augmented_sizes(cfg) if cfg.TEST.AUG.ENABLED else {"resize": resize}),
        score_threshold=thresholds.get("SCORE_THRESH_TEST"),
        nms_threshold=thresholds.get("NMS_THRESH_TEST"),
        max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        weights=f"iteration {get_event_storage().iter}" if in_training else os.path.basename(path),
        weights_sha256="" if in_training or not os.path.isfile(file) else file_sha256(file),
    )


def _augmented_sizes(cfg: CfgNode) -> dict:
    """What a protocol says of the copies of an image and their merge."""
    aug, scales = cfg.TEST.AUG, image_scales(cfg)
    flip = all(scale.flip for scale in scales)
    merge = "box voting" if aug.MERGE == "box_voting" else "merged by NMS"
    if aug.OVER_BUDGET == "skip":
        merge += f", enlarged to at most {aug.MAX_PIXELS} pixels"
    return {
        "resize": "multi-scale",
        "scales": tuple(f"{s} + flip" if s.flip and not flip else str(s) for s in scales),
        "flip": flip,
        "merge": merge,
    }
