"""Evaluation of a trained detector, which must be the one that the config describes."""

from __future__ import annotations

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from torch import nn

from df2s2_d2.inference.trained_weights import (
    check_weights_file,
    load_trained,
    without_training_parts,
)
from df2s2_d2.training.trainer import Trainer


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


def newest_checkpoint(folder: str) -> str:
    """The checkpoint in a folder that a run resumes from; "" without one."""
    checkpointer = DetectionCheckpointer(nn.Module(), save_dir=folder)
    return checkpointer.get_checkpoint_file() if checkpointer.has_checkpoint() else ""
