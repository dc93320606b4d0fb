"""The latest checkpoints of a run."""

from __future__ import annotations

from detectron2.engine import HookBase


class PeriodicCheckpointer(HookBase):
    """Saves ``model_<iteration>.pth`` once a period, and ``model_final.pth`` behind the last."""

    def __init__(self, period: int, keep: int) -> None:
        """
        Args:
            period: iterations between two checkpoints.
            keep: how many periodic checkpoints stay, the newest; 0 = all.
        """
        self._period = period
        self._keep = keep

    def before_train(self) -> None:
        self.trainer.checkpointer.clean_up()

    def after_step(self) -> None:
        iteration, checkpointer = self.trainer.iter, self.trainer.checkpointer
        if (iteration + 1) % self._period == 0:
            checkpointer.save(f"model_{iteration:07d}", iteration=iteration)
            checkpointer.keep_newest(self._keep, iteration)
        if iteration + 1 == self.trainer.max_iter:
            checkpointer.save("model_final", iteration=iteration)
