"""The config that a checkpoint carries, so that one file is enough to find faces."""

from __future__ import annotations

import logging

import yaml
from detectron2.config import CfgNode

from df2s2_d2.config import load_config, merge_overrides, parse_config
from df2s2_d2.inference.config_changes import config_changes
from df2s2_d2.inference.runtimes import exported_metadata, is_exported
from df2s2_d2.inference.trained_weights import CONFIG_KEY, check_weights_file, read_checkpoint

logger = logging.getLogger(__name__)

# Keys that only a run which starts anew follows.
_STARTING_KEYS = ("MODEL.BOTTOM_UP.WEIGHTS", "MODEL.WEIGHTS")


class CarriedConfig:
    """A config as fvcore's Checkpointer saves it beside the model: as YAML, which runs no code."""

    def __init__(self, cfg: CfgNode):
        self._text = cfg.dump()

    def state_dict(self) -> str:
        return self._text

    def load_state_dict(self, text: str) -> None:
        """Only say what differs: a resumed run follows the config that it is started with."""
        changes = config_changes(*map(yaml.safe_load, (text, self._text)))
        without_effect = [key for key in changes if key in _STARTING_KEYS]
        honoured = [
            f"{key} {change}" for key, change in changes.items() if key not in _STARTING_KEYS
        ]
        if honoured:
            logger.info("What the config changes in the resumed run: " + ", ".join(honoured))
        if without_effect:
            logger.warning(
                f"In a resumed run {' and '.join(without_effect)} have no effect: its weights are "
                "those of the checkpoint"
            )


def config_of(path: str) -> CfgNode:
    """The config that a checkpoint carries; its MODEL.WEIGHTS is the checkpoint.

    Args:
        path: a checkpoint of the Trainer, or a file of ``df2s2 export`` that engines run.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, carries no config, or one with unknown keys.
    """
    check_weights_file("The checkpoint", path)
    if is_exported(path):
        text = exported_metadata(path).get(CONFIG_KEY)
        if text is None:
            raise ValueError(
                f"The exported file {path} carries no config: make it by `df2s2 export`, or run it "
                "by OnnxPredictor, in one size"
            )
    else:
        text = read_checkpoint(path).get(CONFIG_KEY)
    if not isinstance(text, str):
        raise ValueError(
            f"The checkpoint {path} carries no config: give the config that it was trained by, "
            f'such as Predictor("CONFIG.yaml", overrides=["MODEL.WEIGHTS", "{path}"])'
        )
    cfg = parse_config(text, f"The config in {path}")
    cfg.MODEL.WEIGHTS = path
    return cfg


def portable(cfg: CfgNode) -> CfgNode:
    """A copy of ``cfg`` that names no file of the machine where the weights were trained."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.WEIGHTS = cfg.MODEL.BOTTOM_UP.WEIGHTS = ""
    return cfg


def named_config(weights: str | None, config_file: str | None, overrides: list[str]) -> CfgNode:
    """The config that a command line names: of a file, or else the one the checkpoint carries.

    Args:
        weights: a checkpoint, which becomes MODEL.WEIGHTS; None leaves that to the config.
        config_file: YAML; None for the config in ``weights``.
        overrides: ``[key, value, ...]`` over it.

    Raises:
        FileNotFoundError, ValueError: as :func:`config_of`, or naming what is wrong in the config.
    """
    cfg = load_config(config_file) if config_file else config_of(weights)
    if weights:
        cfg.MODEL.WEIGHTS = weights
    merge_overrides(cfg, overrides)
    return cfg
