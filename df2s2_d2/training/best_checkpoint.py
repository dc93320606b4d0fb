"""The best model of a run, kept beside the latest ones."""

from __future__ import annotations

import math

from detectron2.engine import hooks


class BestCheckpointer(hooks.BestCheckpointer):
    """detectron2's hook, but a resumed run remembers the best figure of the run it continues."""

    def state_dict(self) -> dict:
        best = self.best_metric, self.best_iter
        # The best model is saved before its figure is noted, and its own checkpoint is to know it.
        latest = self.trainer.storage.latest().get(self._val_metric)
        if latest and math.isfinite(latest[0]):
            if self.best_metric is None or self._compare(latest[0], self.best_metric):
                best = latest
        return {"best_metric": best[0], "best_iter": best[1]}

    def load_state_dict(self, state: dict) -> None:
        self.best_metric, self.best_iter = state["best_metric"], state["best_iter"]
