"""What a user has to know of an exported file, written into the file."""

from __future__ import annotations

from detectron2.config import CfgNode

from df2s2_d2.inference.checkpoint_config import portable
from df2s2_d2.inference.trained_weights import CONFIG_KEY, without_training_parts

CLASS_NAMES = ("face",)


def describe_detector(cfg: CfgNode, name: str) -> dict[str, str]:
    """How the exported file of a detector is to be fed, and what it gives.

    Args:
        cfg: of the detector.
        name: by which users know it, such as that of its config file.

    Returns:
        ``channel_order`` of the input; ``min_size_test`` and ``max_size_test``, the short side
        to which images are resized and the limit of their long side, where 0 means the original
        size and no limit; ``max_pixels``: images that would get more keep their size;
        ``class_names``, separated by commas; the thresholds that apply inside the file; and
        ``config``, all of the config as YAML, by which a Predictor runs the file.
    """
    detector = cfg.MODEL.FACE_DETECTOR
    values = {
        "name": name,
        "channel_order": cfg.INPUT.FORMAT,
        "min_size_test": cfg.INPUT.MIN_SIZE_TEST,
        "max_size_test": cfg.INPUT.MAX_SIZE_TEST,
        "max_pixels": cfg.TEST.AUG.MAX_PIXELS,
        "class_names": ",".join(CLASS_NAMES),
        "score_threshold": detector.SCORE_THRESH_TEST,
        "nms_threshold": detector.NMS_THRESH_TEST,
        "num_candidates": detector.TOPK_CANDIDATES_TEST,
        "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
        "boxes_rounded_outward": detector.ROUND_OUTWARD,
        CONFIG_KEY: portable(without_training_parts(cfg)).dump(),
    }
    return {key: str(value) for key, value in values.items()}
