"""The latest checkpoints of a run."""

from __future__ import annotations

import os

from detectron2.engine import HookBase

from df2s2_d2.training.checkpoints import iteration_of

_FINAL = "model_final"


class PeriodicCheckpointer(HookBase):
    """Saves ``model_<iteration>.pth`` once a period, and ``model_final.pth`` behind the last."""

    def __init__(self, period: int, keep: int) -> None:
        """
        Args:
            period: iterations between two checkpoints, at least 1.
            keep: how many periodic checkpoints stay, the newest; 0 = all.
        """
        self._period = period
        self._keep = keep

    def before_train(self) -> None:
        trainer = self.trainer
        trainer.checkpointer.clean_up()
        last = trainer.max_iter - 1
        if trainer.start_iter > last and iteration_of(self._final_path()) != last:
            # The run before was killed between its last two checkpoints.
            trainer.checkpointer.save(_FINAL, iteration=last)

    def after_step(self) -> None:
        iteration, checkpointer = self.trainer.iter, self.trainer.checkpointer
        if (iteration + 1) % self._period == 0:
            checkpointer.save(f"model_{iteration:07d}", iteration=iteration)
            checkpointer.keep_newest(self._keep, iteration)
        if iteration + 1 == self.trainer.max_iter:
            checkpointer.save(_FINAL, iteration=iteration)

    def _final_path(self) -> str:
        return os.path.join(self.trainer.cfg.OUTPUT_DIR, f"{_FINAL}.pth")
