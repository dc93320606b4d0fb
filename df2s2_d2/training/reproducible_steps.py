"""Steps whose images, augmentations and draws depend on the seed and their number alone."""

from __future__ import annotations

import logging
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from df2s2_d2.data.sampling import TrainingBatches
from df2s2_d2.data.seeding import seed_random

logger = logging.getLogger(__name__)


class ReproducibleSteps(HookBase):
    """Lets a resumed run do the steps that the run before would have done.

    The order of the images goes on behind those that were trained on, also with another number of
    processes or images a batch; unseeded runs keep the seed that they drew. Needs the loader of
    :func:`df2s2_d2.data.build_train_loader`; with others nothing is promised.
    """

    def __init__(self) -> None:
        self._images_before = 0

    def before_train(self) -> None:
        if self._batches is None:
            logger.warning(
                "The training loader has no TrainingBatches for a batch_sampler: a resumed run "
                "will not go on with the images behind those that were trained on"
            )

    def before_step(self) -> None:
        # What the model draws, such as by dropout; the loader seeds every image by itself.
        if self._batches is not None:
            seed_random(self._batches.seed, self.trainer.iter, comm.get_rank())

    def state_dict(self) -> dict[str, int]:
        batches, trainer = self._batches, self.trainer
        if batches is None:
            return {}
        steps = min(trainer.iter + 1, trainer.max_iter) - trainer.start_iter
        return {
            "seed": batches.seed,
            "images": self._images_before + steps * batches.batch_size,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        cfg = self.trainer.cfg
        if self._batches is not None and cfg.SEED < 0:
            cfg = cfg.clone()
            cfg.defrost()
            cfg.SEED = state["seed"]
            inner = self.trainer._trainer
            inner.reset_data_loader(lambda: self.trainer.build_train_loader(cfg))
        if self._batches is not None:
            self._images_before = state["images"]
            self._batches.first_batch = state["images"] // self._batches.batch_size

    @property
    def _batches(self) -> TrainingBatches | None:
        sampler = getattr(self.trainer._trainer.data_loader, "batch_sampler", None)
        return sampler if isinstance(sampler, TrainingBatches) else None
