"""The trackers that TRACKERS names."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from df2s2_d2.config_checks import check_names
from df2s2_d2.missing_packages import with_remedy
from df2s2_d2.training.trackers.mlflow_tracker import MlflowTracker
from df2s2_d2.training.trackers.tracker_writer import TrackerWriter
from df2s2_d2.training.trackers.wandb_tracker import WandbTracker, check_wandb

# By the package that each needs.
_TRACKERS = {"mlflow": MlflowTracker, "wandb": WandbTracker}


def check_trackers(cfg: CfgNode) -> None:
    """Check that the trackers of a training can be begun, as far as that needs no network.

    Args:
        cfg: of the run.

    Raises:
        ValueError: naming the tracker and what it lacks.
    """
    for name in cfg.TRACKERS:
        check_names({"TRACKERS": (name, _TRACKERS)})
        if find_spec(name) is None:
            missing = ModuleNotFoundError(f"No module named {name!r}", name=name)
            raise ValueError(f"TRACKERS has {name}. {with_remedy(missing)}")
    if "wandb" in cfg.TRACKERS:
        check_wandb()


def build_tracker_writers(
    cfg: CfgNode, settings: dict[str, Any], is_resumed: Callable[[], bool]
) -> list[TrackerWriter]:
    """The writers of TRACKERS, to be put before that of TensorBoard.

    Args:
        cfg: of the run.
        settings: what trackers show of its config, nested, of plain values.
        is_resumed: asked when the run has begun: whether it goes on with the one before.
    """
    return [
        TrackerWriter(
            name, _TRACKERS[name], Path(cfg.OUTPUT_DIR), settings, cfg.SOLVER.MAX_ITER, is_resumed
        )
        for name in cfg.TRACKERS
    ]
