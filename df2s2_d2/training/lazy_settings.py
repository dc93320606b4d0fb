"""How a run by a LazyConfig goes: its settings as the keys that the Trainer follows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from detectron2.config import CfgNode
from omegaconf import DictConfig, ListConfig, OmegaConf

from df2s2_d2.config import load_config

# Key of YAML -> where a LazyConfig has the same.
PLACES = {
    "OUTPUT_DIR": "train.output_dir",
    "SEED": "train.seed",
    "MODEL.DEVICE": "train.device",
    "MODEL.WEIGHTS": "train.init_checkpoint",
    "MODEL.BOTTOM_UP.WEIGHTS": "train.bottom_up_weights",
    "SOLVER.MAX_ITER": "train.max_iter",
    "SOLVER.BOTTOM_UP_LR_FACTOR": "optimizer.params.bottom_up_lr_factor",
    "SOLVER.CHECKPOINT_PERIOD": "train.checkpointer.period",
    "SOLVER.CHECKPOINT_KEEP": "train.checkpointer.max_to_keep",
    "SOLVER.AMP.ENABLED": "train.amp.enabled",
    "SOLVER.AMP.PRECISION": "train.amp.precision",
    "SOLVER.EMA.ENABLED": "train.ema.enabled",
    "SOLVER.EMA.DECAY": "train.ema.decay",
    "SOLVER.ACCUMULATE": "train.accumulate",
    "SOLVER.CHANNELS_LAST": "train.channels_last",
    "SOLVER.COMPILE": "train.compile",
    "SOLVER.ACTIVATION_CHECKPOINTING": "train.activation_checkpointing",
    "SOLVER.DDP_STATIC_GRAPH": "train.ddp.static_graph",
    "TEST.EVAL_PERIOD": "train.eval_period",
    "TEST.BEST_METRIC": "train.best_metric",
    "SOLVER.IMS_PER_BATCH": "dataloader.train.total_batch_size",
    "DATASETS.TRAIN": "dataloader.train.dataset.names",
    "DATASETS.TEST": "dataloader.test.dataset.names",
    "DATASETS.INVALID_FACES": "dataloader.train.mapper.invalid_faces",
    "TRACKERS": "train.trackers",
}

# Further keys below `train`: those that are read elsewhere, and what detectron2's own script has.
_READ_ELSEWHERE = {"train.log_period", "train.cudnn_benchmark", "train.float32_precision"}
_WITHOUT_EFFECT = {
    "train.ddp.broadcast_buffers",
    "train.ddp.find_unused_parameters",
    "train.ddp.fp16_compression",
}

# What messages call parts of a run that no setting is made of.
_WORDS = PLACES | {
    "SOLVER.BASE_LR": "optimizer.lr",
    "SOLVER.OPTIMIZER": "the optimizer",
    "INPUT.FORMAT": "dataloader.train.mapper.image_format",
    "INPUT.SMALL_FACES": "dataloader.train.mapper.small_faces",
    "INPUT.MOSAIC": "dataloader.train.mosaic",
    "INPUT.MOSAIC.PROBABILITY": "dataloader.train.mosaic.prob",
    "INPUT.RESIZE_SQUARE_TRAIN": "shape of T.Resize",
}
_ANY_KEY = re.compile(rf"\b({'|'.join(map(re.escape, sorted(_WORDS, key=len, reverse=True)))})\b")


def run_settings(lazy: DictConfig) -> CfgNode:
    """The settings of a LazyConfig, and what it leaves out as ``add_df2s2_config`` has it.

    Model, optimizer, schedule and data are not among them.

    Raises:
        ValueError: naming the setting and what is wrong with it.
    """
    _check_known(lazy)
    cfg = load_config()
    for key, place in PLACES.items():
        value = OmegaConf.select(lazy, place, default=None)
        if value is not None:
            _set(cfg, key, place, value)
    return cfg


def plain_values(node: Any) -> Any:
    """A LazyConfig, or a part of it, of plain values; classes and functions by their names."""
    if isinstance(node, DictConfig):
        return {str(name): plain_values(value) for name, value in node.items()}
    if isinstance(node, (ListConfig, list, tuple)):
        return [plain_values(value) for value in node]
    if node is None or isinstance(node, (str, int, float, bool)):
        return node
    return getattr(node, "__qualname__", str(node))


@contextmanager
def in_lazy_words() -> Iterator[None]:
    """Errors, and the last words of a process, name the settings of a LazyConfig."""
    try:
        yield
    except (OSError, ValueError, FloatingPointError) as error:
        translated = _translated(str(error))
        if translated == str(error):
            raise
        raise _with_message(error, translated) from error
    except SystemExit as stop:
        if isinstance(stop.code, str):
            stop.code = _translated(stop.code)
        raise


def _with_message(error: Exception, message: str) -> Exception:
    try:
        return type(error)(message)
    except TypeError:  # one that is made of more than a message
        return error


def _translated(message: str) -> str:
    message = _ANY_KEY.sub(lambda match: _WORDS[match[1]], message)
    return message.replace("train.device cpu", "train.device=cpu")


def _check_known(lazy: DictConfig) -> None:
    known = {*PLACES.values(), *_READ_ELSEWHERE}
    for place, value in _leaves(lazy.train, "train"):
        if place in _WITHOUT_EFFECT:
            if value:
                raise ValueError(f"{place} is {value}, which has no effect here: leave it out")
        elif place not in known:
            below_train = sorted(name for name in known if name.startswith("train."))
            raise ValueError(f"There is no setting {place}: there are {', '.join(below_train)}")
    if OmegaConf.select(lazy, "train.max_iter", default=None) is None:
        raise ValueError("train.max_iter is missing: say how many iterations the run has")


def _leaves(node: DictConfig, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        place = f"{prefix}.{name}"
        if isinstance(value, DictConfig):
            yield from _leaves(value, place)
        else:
            yield place, value


def _set(cfg: CfgNode, key: str, place: str, value: Any) -> None:
    node, _, name = key.rpartition(".")
    for part in filter(None, node.split(".")):
        cfg = cfg[part]
    expected = type(cfg[name])
    if expected is tuple:  # names of data sets, or of trackers
        value = (value,) if isinstance(value, str) else tuple(value)
    is_number = expected is float and type(value) is int
    if type(value) is not expected and not is_number:
        raise ValueError(f"{place} is {value!r}: give a value of type {expected.__name__}")
    cfg[name] = expected(value)
