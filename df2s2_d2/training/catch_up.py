"""What a resumed run does before its first step, so that its records have no gap."""

from __future__ import annotations

import logging
import os

from detectron2.engine import HookBase, hooks
from detectron2.utils import comm

from df2s2_d2.training.best_checkpoint import BestCheckpointer
from df2s2_d2.training.metrics_file import cut_off, has_figure

logger = logging.getLogger(__name__)


class CatchUp(HookBase):
    """Cuts metrics.json off where the run goes on, and repeats a test that did not come to its end.

    To be registered on all processes, behind the hooks that test.
    """

    def __init__(self, period: int, figure: str) -> None:
        """
        Args:
            period: iterations between two tests; 0 = there are none.
            figure: what metrics.json has of every test.
        """
        self._period = period
        self._figure = figure

    def before_train(self) -> None:
        start = self.trainer.start_iter
        path = os.path.join(self.trainer.cfg.OUTPUT_DIR, "metrics.json")
        if comm.is_main_process():
            cut_off(path, start or None)
        # Behind the last step there will be a test in any case.
        if not start or start == self.trainer.max_iter or not self._period or start % self._period:
            return
        if not comm.all_gather(has_figure(path, self._figure, start))[0]:
            logger.info("The run was stopped in its last test, or soon after: testing again")
            self._repeat_test()

    def _repeat_test(self) -> None:
        trainer = self.trainer
        trainer.iter = trainer.storage.iter = trainer.start_iter - 1
        for hook in trainer._hooks:
            if isinstance(hook, (hooks.EvalHook, BestCheckpointer)):
                hook.after_step()
        trainer.iter = trainer.storage.iter = trainer.start_iter
