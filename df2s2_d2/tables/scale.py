"""A training at a share of its cost: smaller images, fewer of them a step, fewer steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detectron2.config import CfgNode

# Factors on sides are twentieths, so that 640 pixels stay a multiple of 32, and two at least. All
# rows of a table get the same, whether their training images are square or not.
_TWENTIETHS = 20


@dataclass(frozen=True)
class Scale:
    """What of a config's cost, its number of training pixels, a run is to take.

    The side of images is multiplied by ``image`` and the batch by ``batch``; the number of steps
    takes what is left of ``cost``, after both have been rounded.

    Attributes:
        cost: share of the pixels that the config trains on, more than 0 and at most 1.
        image: factor on the sides of images; None for the sixth root of ``cost``.
        batch: factor on the batch; None for the third root of ``cost``.
    """

    cost: float = 1.0
    image: float | None = None
    batch: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("", self.cost), ("image-", self.image), ("batch-", self.batch)):
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"--{name}scale is {value:g}: give more than 0 and at most 1")

    @property
    def is_whole(self) -> bool:
        """Whether nothing is changed."""
        return self.cost == 1 and self.image in (None, 1) and self.batch in (None, 1)

    def overrides(self, cfg: CfgNode, processes: int = 1) -> dict[str, Any]:
        """The keys that make a config's training, and its test, that much smaller.

        * Sides of training and test images, their limits, and factors of a multi-scale test are
          multiplied by r, ``image`` rounded to twentieths; limits of face sizes in such a test,
          which are in pixels of the original, by 1 / r. So all is as if every photograph had been
          stored with r times as long sides.
        * ``SOLVER.IMS_PER_BATCH`` is multiplied by ``batch`` and rounded to a multiple of
          ``processes``; SOLVER.BASE_LR changes in proportion to it.
        * ``SOLVER.MAX_ITER`` becomes such that images x pixels are ``cost`` times what they were;
          STEPS, WARMUP_ITERS and CHECKPOINT_PERIOD keep their shares of it.
        * Weight decay, momentum, anchors, losses and the network stay, and so does
          INPUT.MIN_ORIGINAL_FACE_SIZE: it says which boxes are good enough to learn from.

        Args:
            cfg: of the whole training.
            processes: that train together.

        Returns:
            Key -> value; nothing if nothing is changed.
        """
        if self.is_whole:
            return {}
        side = self.image_factor
        batch_size = cfg.SOLVER.IMS_PER_BATCH
        wanted = batch_size * (self.cost ** (1 / 3) if self.batch is None else self.batch)
        batch = max(round(wanted / processes), 1) * processes
        steps = max(round(cfg.SOLVER.MAX_ITER * self.cost * batch_size / batch / side**2), 1)
        share = steps / cfg.SOLVER.MAX_ITER
        # Each milestone keeps its place among the others, however few steps there are.
        milestones = {round(step * share) for step in cfg.SOLVER.STEPS}
        keys = {
            **_image_sizes(cfg, side),
            # Adapted here already.
            "SOLVER.REFERENCE_WORLD_SIZE": 0,
            "SOLVER.IMS_PER_BATCH": batch,
            "SOLVER.BASE_LR": cfg.SOLVER.BASE_LR * batch / batch_size,
            "SOLVER.MAX_ITER": steps,
            "SOLVER.STEPS": tuple(sorted(step for step in milestones if 0 < step < steps)),
            "SOLVER.WARMUP_ITERS": round(cfg.SOLVER.WARMUP_ITERS * share),
            "SOLVER.CHECKPOINT_PERIOD": max(round(cfg.SOLVER.CHECKPOINT_PERIOD * share), 1),
        }
        return {key: value for key, value in keys.items() if value != _value(cfg, key)}

    @property
    def image_factor(self) -> float:
        """What sides of images are multiplied by."""
        factor = self.cost ** (1 / 6) if self.image is None else self.image
        return max(round(factor * _TWENTIETHS), 2) / _TWENTIETHS


def _image_sizes(cfg: CfgNode, factor: float) -> dict[str, Any]:
    def scaled(side: int) -> int:
        return side and max(round(side * factor), 1)

    inputs, aug = cfg.INPUT, cfg.TEST.AUG
    sizes: dict[str, Any] = {
        "INPUT.RESIZE_SQUARE_TRAIN": scaled(inputs.RESIZE_SQUARE_TRAIN),
        "INPUT.MIN_SIZE_TRAIN": tuple(map(scaled, inputs.MIN_SIZE_TRAIN)),
        "INPUT.MAX_SIZE_TRAIN": scaled(inputs.MAX_SIZE_TRAIN),
        "INPUT.MIN_SIZE_TEST": scaled(inputs.MIN_SIZE_TEST),
        "INPUT.MAX_SIZE_TEST": scaled(inputs.MAX_SIZE_TEST),
        "TEST.AUG.MIN_SIZES": tuple(map(scaled, aug.MIN_SIZES)),
        "TEST.AUG.MAX_SIZE": scaled(aug.MAX_SIZE),
        "TEST.AUG.SCALES": [_scaled_entry(entry, factor) for entry in aug.SCALES],
    }
    if not (aug.ENABLED or inputs.MIN_SIZE_TEST or factor == 1):
        # No key shrinks images that are tested at their original size, but a test of one copy.
        sizes["TEST.AUG.ENABLED"] = True
        sizes["TEST.AUG.SCALES"] = [{"FACTOR": factor}]
        sizes["TEST.AUG.MERGE"] = "nms"
    return sizes


def _scaled_entry(entry: dict[str, Any], factor: float) -> dict[str, Any]:
    factors = {
        "FACTOR": factor,
        "SHORT_SIDE": factor,
        "MIN_FACE": 1 / factor,
        "MAX_FACE": 1 / factor,
    }
    scaled = {name: value * factors.get(name, 1) for name, value in entry.items() if name != "FLIP"}
    if "SHORT_SIDE" in scaled:
        scaled["SHORT_SIDE"] = max(round(scaled["SHORT_SIDE"]), 1)
    return {**entry, **scaled}


def _value(cfg: CfgNode, key: str) -> Any:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg
