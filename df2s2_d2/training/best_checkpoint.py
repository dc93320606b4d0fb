"""The best model of a run, kept beside the latest ones."""

from __future__ import annotations

import logging
import math
import os

from detectron2.engine import HookBase

from df2s2_d2.inference.trained_weights import read_checkpoint

logger = logging.getLogger(__name__)

_NAME = "model_best"


class BestCheckpointer(HookBase):
    """Saves ``model_best.pth`` behind every test whose figure is the highest so far.

    The figure lies in that file and nowhere else. So a resumed run knows the best one whenever the
    run before was killed, and a best model that was lost is replaced by the next test.
    """

    def __init__(self, metric: str) -> None:
        """
        Args:
            metric: a figure by its name in metrics.json; higher is better.
        """
        self._metric = metric
        self._best: float | None = None
        self._last_seen = -1

    def before_train(self) -> None:
        if self.trainer.start_iter > 0:
            self._best = self._saved_figure()

    def after_step(self) -> None:
        figure, iteration = self.trainer.storage.latest().get(self._metric, (None, -1))
        # Without a test in this step, the latest figure is one that was dealt with.
        if iteration != self.trainer.storage.iter or iteration == self._last_seen:
            return
        self._last_seen = iteration
        if not math.isfinite(figure) or (self._best is not None and figure <= self._best):
            logger.info(f"{self._metric} is {figure:.5f}, the best so far {self._best}")
            return
        logger.info(f"{self._metric} is {figure:.5f}, the best so far: saving {_NAME}.pth")
        self._best = figure
        self.trainer.checkpointer.save(
            _NAME,
            # Behind the last step the counter is one too high.
            iteration=min(self.trainer.iter, self.trainer.max_iter - 1),
            best={"metric": self._metric, "figure": figure},
        )

    def after_train(self) -> None:
        self.after_step()
        if self._last_seen < 0 and self.trainer.iter >= self.trainer.max_iter:
            logger.warning(
                f"TEST.BEST_METRIC is {self._metric!r}, but no test gave such a figure: see "
                "metrics.json for the names of those that they gave"
            )

    def _saved_figure(self) -> float | None:
        path = os.path.join(self.trainer.cfg.OUTPUT_DIR, f"{_NAME}.pth")
        if not os.path.isfile(path):
            return None
        try:
            best = read_checkpoint(path).get("best")
        except (OSError, ValueError) as error:
            logger.warning(f"{error}: the next test replaces it")
            return None
        if not isinstance(best, dict) or best.get("metric") != self._metric:
            logger.warning(f"{path} is not the best by {self._metric}: the next test replaces it")
            return None
        return best["figure"]
