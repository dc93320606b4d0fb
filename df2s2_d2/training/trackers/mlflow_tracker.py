"""MLflow as a tracker; what its environment variables say goes first."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from df2s2_d2.training.trackers.tracker import TrackedRun, Tracker, flat_settings, plain_name

# Of a run whose experiment nobody names.
_EXPERIMENT = "df2s2_d2"
# What MLflow takes at once, and how long a value may be.
_PARAMETERS, _METRICS, _LETTERS = 100, 1000, 6000


class MlflowTracker(Tracker):
    """A run of MLflow, at the server or in the file that MLFLOW_TRACKING_URI names.

    Parameters of MLflow never change: of a resumed run with another config, ``settings.json`` among
    its artifacts has what holds.

    Args:
        run: to be begun, or gone on with.
    """

    def __init__(self, run: TrackedRun):
        # Read when it is imported: nothing is told to others than the tracking server.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient, entities

        self._entities = entities
        self._client = MlflowClient()
        if run.id is None:
            created = self._client.create_run(self._experiment_id(), run_name=run.name)
            self.id = created.info.run_id
            self._log_parameters(flat_settings(run.settings))
        else:
            self.id = run.id
            self._client.update_run(self.id, status="RUNNING")
        self._client.log_dict(self.id, run.settings, "settings.json")

    def log(self, iteration: int, figures: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [
            self._entities.Metric(plain_name(name), value, now, iteration)
            for name, value in figures.items()
        ]
        for part in _batches(metrics, _METRICS):
            self._client.log_batch(self.id, metrics=part)

    def log_picture(self, iteration: int, name: str, picture: np.ndarray) -> None:
        self._client.log_image(self.id, picture, key=plain_name(name), step=iteration)

    def finish(self, is_complete: bool) -> None:
        self._client.set_terminated(self.id, "FINISHED" if is_complete else "KILLED")

    def _experiment_id(self) -> str:
        """Of MLFLOW_EXPERIMENT_ID or _NAME, else of this project's; it is made if need be."""
        if "MLFLOW_EXPERIMENT_ID" in os.environ:
            return os.environ["MLFLOW_EXPERIMENT_ID"]
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        try:
            return self._client.create_experiment(name)
        except Exception:
            # A run beside this one has made it in between.
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return found.experiment_id

    def _log_parameters(self, settings: dict[str, Any]) -> None:
        parameters = [
            self._entities.Param(plain_name(key), str(value)[:_LETTERS])
            for key, value in settings.items()
        ]
        for part in _batches(parameters, _PARAMETERS):
            self._client.log_batch(self.id, params=part)


def _batches(items: list, size: int) -> Iterator[list]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
