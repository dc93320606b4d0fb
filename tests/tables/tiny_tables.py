"""Rows of the papers' tables as trainings of seconds, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from df2s2_d2.cli.program import main

_TINY = {
    "MODEL.DEVICE": "cpu",
    "MODEL.BOTTOM_UP.WEIGHTS": "",
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 16,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    "MODEL.RESNETS.DEPTH": 50,
    "MODEL.VGG.WIDTH": 4,
    "MODEL.TIMM.NAME": "test_resnet.r160_in1k",
    "MODEL.SHOT.HEAD.CONV_DIM": 16,
    "MODEL.FPN.OUT_CHANNELS": 16,
    "INPUT.MIN_SIZE_TRAIN": "(128, 160)",
    "INPUT.MIN_SIZE_TEST": 128,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.WARMUP_ITERS": 0,
    "SOLVER.STEPS": "()",
    "SOLVER.MAX_ITER": 2,
}


def tiny_options(**overrides) -> list[str]:
    """What to put after ``--opts``; keys of ``overrides`` with "__" for "."."""
    pairs = _TINY | {key.replace("__", "."): value for key, value in overrides.items()}
    return [str(part) for pair in pairs.items() for part in pair]


class InThisProcess:
    """A training that is done when it is waited for."""

    stopped_by: int | None = None

    def __init__(self, arguments: Sequence[str], data: Path, folder: Path) -> None:
        self.arguments = list(arguments)

    def wait(self) -> int:
        try:
            return main(self.arguments)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1

    def stop(self) -> None:
        raise AssertionError("there is nobody to stop it")
