"""LazyConfigs of a training of a few steps, and what is compared with those by YAML."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from omegaconf import DictConfig
from torch import Tensor, nn

from df2s2_d2.lazy_config import load_lazy_config

SMALL = "lazy/faces_small.py"

# As YAML has them -> as a LazyConfig has them.
STEPS = {
    "SOLVER.IMS_PER_BATCH": (2, "dataloader.train.total_batch_size=2"),
    "SOLVER.MAX_ITER": (4, "train.max_iter=4"),
    "SOLVER.CHECKPOINT_PERIOD": (2, "train.checkpointer.period=2"),
    "TEST.EVAL_PERIOD": (4, "train.eval_period=4"),
    "DATALOADER.NUM_WORKERS": (
        0,
        "dataloader.train.num_workers=0",
        "dataloader.test.num_workers=0",
    ),
    "MODEL.BOTTOM_UP.WEIGHTS": ("", "train.bottom_up_weights=''"),
    "DATASETS.TRAIN": (("drawn_train",), "dataloader.train.dataset.names=drawn_train"),
    "DATASETS.TEST": (("drawn_val",), "dataloader.test.dataset.names=drawn_val"),
    "TEST.AUG.SCALES": (
        [{"SHORT_SIDE": 96}, {"SHORT_SIDE": 64, "FLIP": True}],
        "test_detector.scales.sizes=[{short_side:96},{short_side:64,flip:true}]",
    ),
    # Rates that change what is learnt within so few steps.
    "SOLVER.WARMUP_ITERS": (2, "lr_multiplier.warmup_iters=2"),
    # Of which detectron2's own loop knows nothing.
    "SOLVER.AMP.ENABLED": (False, "train.amp.enabled=false"),
    "SOLVER.CHANNELS_LAST": (False, "train.channels_last=false"),
    "SEED": (3, "train.seed=3"),
}
YAML_STEPS = [part for key, (value, *_) in STEPS.items() for part in (key, value)]
LAZY_STEPS = [override for _, *overrides in STEPS.values() for override in overrides]


def small_lazy_config(output_dir: object, *overrides: str) -> DictConfig:
    """That of :data:`SMALL` for a few steps on the drawn data."""
    return load_lazy_config(SMALL, [*LAZY_STEPS, f"train.output_dir='{output_dir}'", *overrides])


def plain_attributes(thing: Any) -> Any:
    """Nested numbers and words that an object was made with, to be compared with another's."""
    if isinstance(thing, (str, int, float, bool, type(None))):
        return thing
    if isinstance(thing, (Tensor, np.ndarray)):
        return thing.tolist()
    if isinstance(thing, Mapping):
        return {str(key): plain_attributes(value) for key, value in thing.items()}
    if isinstance(thing, Sequence):
        return [plain_attributes(part) for part in thing]
    if isinstance(thing, nn.Module):
        return {
            f"{name}.{key}": plain_attributes(value)
            for name, module in thing.named_modules()
            for key, value in vars(module).items()
            if not key.startswith("_") or key == "_buffers"
        }
    if isinstance(thing, type) or inspect.isroutine(thing):
        return thing.__qualname__
    if hasattr(thing, "__dict__"):
        return [type(thing).__name__, plain_attributes(vars(thing))]
    return repr(type(thing))
