"""The protocol of a config's tests, to stand beside their figures."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.utils.events import get_event_storage, has_event_storage

from df2s2_d2.evaluation.protocol import Protocol, short_sha256
from df2s2_d2.modeling.meta_arch_settings import detection_thresholds
from df2s2_d2.modeling.multi_scale.image_scales import ImageScale, image_scales
from df2s2_d2.modeling.multi_scale.scale_choice import ScaleChoice
from df2s2_d2.models import local_file
from df2s2_d2.test_protocols import protocol_name


def protocol_of(cfg: CfgNode, tile_above: int = 0) -> Protocol:
    """How test images are scaled, by which weights faces are sought, and which of them are kept.

    It has the name of a published test only if every key of that test is as published.
    Weights are named by the file MODEL.WEIGHTS; inside a training loop, where they lie in no file
    yet, by the iteration as metrics.json gives it.

    Args:
        cfg: of the tests.
        tile_above: see :class:`~df2s2_d2.inference.Predictor`; no published test has tiles.
    """
    thresholds = detection_thresholds(cfg)
    aug = cfg.TEST.AUG
    if aug.ENABLED:
        largest = aug.MAX_PIXELS if aug.OVER_BUDGET == "skip" else None
        size = augmented_sizes(image_scales(cfg), aug.MERGE, largest)
    else:
        (scale,) = ScaleChoice.from_config(cfg, tile_above=0, divisor=1).scales
        size = {"resize": resize_rule(scale)}
    return Protocol(
        name="" if tile_above else protocol_name(cfg),
        **size,
        tile_above=tile_above or None,
        score_threshold=thresholds.get("SCORE_THRESH_TEST"),
        nms_threshold=thresholds.get("NMS_THRESH_TEST"),
        max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        **weights_under_test(cfg.MODEL.WEIGHTS),
    )


def weights_under_test(path: str) -> dict[str, str]:
    """What a protocol says of the weights.

    Args:
        path: their file, of no account inside a training loop.
    """
    if has_event_storage():
        return {"weights": f"iteration {get_event_storage().iter}"}
    file = local_file(path)
    sha256 = short_sha256(file) if os.path.isfile(file) else ""
    return {"weights": os.path.basename(path), "weights_sha256": sha256}


def resize_rule(scale: ImageScale) -> str:
    """What a protocol says of the size in which each image is looked at once."""
    if scale.short_side is None:
        return "original size" if scale.factor == 1 else f"{scale.factor:g} times the original size"
    limit = f", long side at most {scale.max_size:g}" if scale.max_size < math.inf else ""
    return f"short side {scale.short_side}{limit}"


def augmented_sizes(scales: Sequence[ImageScale], merge: str, largest: int | None) -> dict:
    """What a protocol says of the copies of an image and their merge.

    Args:
        scales: of the copies.
        merge: "nms" or "box_voting".
        largest: pixels beyond which enlarged copies are left out; None = none is.
    """
    flip = all(scale.flip for scale in scales)
    merge = "box voting" if merge == "box_voting" else "merged by NMS"
    if largest is not None:
        merge += f", enlarged to at most {largest} pixels"
    return {
        "resize": "multi-scale",
        "scales": tuple(f"{s} + flip" if s.flip and not flip else str(s) for s in scales),
        "flip": flip,
        "merge": merge,
    }
