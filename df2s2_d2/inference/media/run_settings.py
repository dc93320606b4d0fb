"""What the results of a run depend on, so that a run goes on as it was begun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils.file_io import PathManager

from df2s2_d2.inference.detector_options import DetectorOptions
from df2s2_d2.inference.media.picture_options import PictureOptions
from df2s2_d2.inference.media.result_options import ResultOptions
from df2s2_d2.inference.media.run_record import digest, file_digest
from df2s2_d2.inference.media.sources import Source
from df2s2_d2.inference.media.tracking_options import TrackingOptions
from df2s2_d2.inference.runtimes.choice import choose_runtime
from df2s2_d2.models import local_file

# Keys of the config that say where, not what.
_PLACES = ("MODEL.WEIGHTS", "MODEL.DEVICE", "OUTPUT_DIR")


def run_settings(
    cfg: CfgNode,
    sources: Sequence[Source],
    detector: DetectorOptions,
    results: ResultOptions,
    pictures: PictureOptions,
    tracking: TrackingOptions,
) -> dict[str, Any]:
    """By what the user calls them, as JSON.

    Args:
        cfg: of the detector.
        sources: of all shards.
        detector, results, pictures, tracking: options of the command.
    """
    ground_truth = results.coco_ground_truth
    return {
        "number of inputs": len(sources),
        "list of inputs": digest(*(str(source.path) for source in sources)),
        **detector_settings(cfg, detector),
        "--save": list(dict.fromkeys(results.formats)),
        "--write-threshold": results.score_threshold,
        "--coco-ground-truth": file_digest(ground_truth) if ground_truth else None,
        "--threshold": pictures.threshold,
        "pictures": pictures.is_written,
        "--boxes": pictures.draws_boxes,
        "--blur": pictures.hide,
        "--crops": pictures.crop_margin,
        "--track": tracking.is_written,
        "--max-gap": tracking.max_gap,
    }


def detector_settings(cfg: CfgNode, detector: DetectorOptions) -> dict[str, Any]:
    """The part of :func:`run_settings` that says what the detector computes."""
    weights = PathManager.get_local_path(local_file(cfg.MODEL.WEIGHTS))
    return {
        "weights": file_digest(weights),
        "config": digest(_without_places(cfg).dump()),
        "--precision": detector.precision,
        "--runtime": choose_runtime(detector.runtime, cfg, detector.precision),
    }


def _without_places(cfg: CfgNode) -> CfgNode:
    cfg = cfg.clone()
    cfg.defrost()
    for key in _PLACES:
        cfg.merge_from_list([key, ""])
    return cfg
