"""Evaluation of a trained detector, which must be the one that the config describes."""

from __future__ import annotations

import logging

from detectron2.config import CfgNode

from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, config_of
from df2s2_d2.inference.config_changes import changed_meanings
from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_trained,
    read_checkpoint,
    without_training_parts,
)
from df2s2_d2.training.checkpoints import newest_checkpoint
from df2s2_d2.training.trainer import Trainer

logger = logging.getLogger(__name__)


def evaluate(cfg: CfgNode, resume: bool = False) -> dict:
    """Score a trained detector on all data sets of DATASETS.TEST.

    Every process loads all weights of the file, so that no part of the detector is left at random.

    Args:
        cfg: of the detector; MODEL.WEIGHTS is its file.
        resume: score the newest checkpoint in OUTPUT_DIR instead.

    Returns:
        Benchmark -> figures, on the main process; with several data sets, by the data set.

    Raises:
        OSError, ValueError: if there is no such file, or it is not of this detector. Nothing is
            read of the data then.
    """
    cfg = cfg.clone()
    cfg.defrost()
    # The figures are to name the weights that they belong to.
    cfg.MODEL.WEIGHTS = weights_to_evaluate(cfg, resume)
    model = Trainer.build_model(without_training_parts(cfg))
    load_trained(model, cfg.MODEL.WEIGHTS)
    _warn_of_other_meanings(cfg)
    return Trainer.test(cfg, model)


def weights_to_evaluate(cfg: CfgNode, resume: bool = False) -> str:
    """The file of the detector that is to be scored.

    Args:
        cfg, resume: see :func:`evaluate`.

    Raises:
        FileNotFoundError, ValueError: if there is none, or it is a pickle.
    """
    key, path = "MODEL.WEIGHTS", cfg.MODEL.WEIGHTS
    if resume:
        key = f"The newest checkpoint in {cfg.OUTPUT_DIR} (OUTPUT_DIR)"
        path = newest_checkpoint(cfg.OUTPUT_DIR)
        if not path:
            raise FileNotFoundError(
                f"OUTPUT_DIR is {cfg.OUTPUT_DIR!r}, where --resume finds no checkpoint to score: "
                "give the folder of a training, or a file as MODEL.WEIGHTS without --resume"
            )
    if not path:
        raise ValueError(
            "No trained detector is given to be scored: set MODEL.WEIGHTS to its file, or add "
            "--resume to score the newest checkpoint in OUTPUT_DIR"
        )
    check_weights_file(key, path)
    return path


def _warn_of_other_meanings(cfg: CfgNode) -> None:
    """Say where the config departs from the one that the checkpoint carries, if it carries one."""
    path = cfg.MODEL.WEIGHTS
    if not isinstance(read_checkpoint(path).get(CONFIG_KEY), str):
        return
    try:
        changes = changed_meanings(config_of(path), cfg)
    except ValueError as error:  # of another version, with keys that are not known here
        logger.warning(f"The config in {path} is not compared with this one: {error}")
        return
    if changes:
        logger.warning(
            f"{path} was trained by another config, so that the figures may be of no detector at "
            f"all: {', '.join(f'{key} {change}' for key, change in changes.items())}"
        )
