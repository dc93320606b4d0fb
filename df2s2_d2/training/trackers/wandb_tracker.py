"""Weights & Biases as a tracker; what its environment variables say goes first."""

from __future__ import annotations

import os

import numpy as np

from df2s2_d2.training.trackers.tracker import TrackedRun, Tracker

# Of a project without a name of its own.
_PROJECT = "df2s2_d2"
_AXIS = "iteration"


class WandbTracker(Tracker):
    """A run of Weights & Biases, by ``wandb.init``; its files lie in ``<OUTPUT_DIR>/wandb``.

    Args:
        run: to be begun, or gone on with.
    """

    def __init__(self, run: TrackedRun):
        import wandb

        self._picture = wandb.Image
        self._run = wandb.init(
            dir=run.folder,
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            name=None if "WANDB_NAME" in os.environ else run.name,
            config=run.settings,
            id=run.id,
            resume="allow",
            allow_val_change=True,
            # The log of a run is its log.txt; wandb would take over the process's output for it.
            settings=wandb.Settings(console="off", silent=True),
        )
        self.id = self._run.id
        # wandb's own count of steps only grows, while a resumed run may repeat some.
        self._run.define_metric(_AXIS)
        self._run.define_metric("*", step_metric=_AXIS)

    def log(self, iteration: int, figures: dict[str, float]) -> None:
        self._run.log({_AXIS: iteration, **figures})

    def log_picture(self, iteration: int, name: str, picture: np.ndarray) -> None:
        self._run.log({_AXIS: iteration, name: self._picture(picture)})

    def finish(self, is_complete: bool) -> None:
        self._run.finish(exit_code=0 if is_complete else 1)


def check_wandb() -> None:
    """Check that a run can be begun without asking for anything.

    Raises:
        ValueError: there are no credentials, and no mode that goes without.
    """
    import wandb

    settings = wandb.Settings(silent=True)
    mode = wandb.setup(settings=settings).settings.mode
    if mode == "online" and not wandb.login(prompt=False, verify=False):
        raise ValueError(
            "TRACKERS has wandb, but there is no API key of Weights & Biases: run `wandb login`, "
            "or set WANDB_MODE=offline and send the run later"
        )
