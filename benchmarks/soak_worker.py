"""train_net.py, but every step is written down, and one loss may be replaced by NaN.

``soak.py`` starts it: ``python -m benchmarks.soak_worker STEPS_FILE NAN_AT OPTIONS...``; the
options are train_net.py's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from detectron2.engine import HookBase

from benchmarks.common import resident_mb
from df2s2_d2.cli import train
from df2s2_d2.cli.program import build_parser
from df2s2_d2.training import Trainer, run


class StepLog(HookBase):
    """A JSON line a step: its number, loss, images, faces and the memory of the process."""

    def __init__(self, path: Path):
        self._file = path.open("a", encoding="utf-8")
        self._seen: dict = {}

    def before_train(self) -> None:
        self.trainer.model.register_forward_pre_hook(self._note_batch)

    def _note_batch(self, model: torch.nn.Module, inputs: tuple[list[dict]]) -> None:
        if model.training:
            faces = [len(image["instances"]) for image in inputs[0]]
            self._seen = {
                "images": [Path(image["file_name"]).stem for image in inputs[0]],
                "faces": sum(faces),
                "faceless": faces.count(0),
            }

    def after_step(self) -> None:
        loss, iteration = self.trainer.storage.latest()["total_loss"]
        broken = self.trainer.storage.latest()["broken_images"][0]
        row = {"step": iteration, "loss": loss, **self._seen, "broken": broken}
        row["memory_mb"] = resident_mb()
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()


class LossBecomesNaN(HookBase):
    """Whatever the network computes in one step, its losses are not numbers."""

    def __init__(self, step: int):
        self._step = step

    def before_step(self) -> None:
        if self.trainer.iter == self._step:
            self.trainer.model.register_forward_hook(
                lambda model, inputs, losses: {name: x * torch.nan for name, x in losses.items()}
            )


def main(arguments: list[str]) -> None:
    """Train by the command line."""
    steps_file, nan_at, *options = arguments

    class WatchedTrainer(Trainer):
        def build_hooks(self) -> list:
            watchers = [StepLog(Path(steps_file)), LossBecomesNaN(int(nan_at))]
            return [*watchers, *super().build_hooks()]

    run.Trainer = WatchedTrainer
    run.train_or_evaluate(build_parser(train, "soak_worker.py").parse_args(options))


if __name__ == "__main__":
    main(sys.argv[1:])
