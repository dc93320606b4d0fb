"""Which training images make up which batch: an endless order that can be entered anywhere."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.data.samplers import RepeatFactorTrainingSampler
from torch import Tensor
from torch.utils.data import Sampler

from df2s2_d2.formats.annotated_image import event_of

_UNWEIGHTED = ("TrainingSampler", "RandomSubsetTrainingSampler", "RepeatFactorTrainingSampler")
_WEIGHTED = ("WeightedTrainingSampler", "WeightedCategoryTrainingSampler")
# Keys of DATASETS that the latter read; a config without this project's keys has the first only.
_FACTOR_KEYS = ("TRAIN_REPEAT_FACTOR", "TRAIN_EVENT_FACTOR")


class Sample(NamedTuple):
    """An image in the endless order."""

    index: int
    # Of the run, and the place in the order: together they determine every random decision.
    seed: int
    position: int


class TrainingBatches(Sampler[list[Sample]]):
    """Batches of one process, for ``DataLoader(batch_sampler=...)``.

    The order is one of all processes together and depends on the seed alone, so a run may go on
    with another number of them. What was trained on is skipped by counting batches.
    """

    def __init__(
        self,
        factors: Tensor,
        *,
        batch_size: int,
        seed: int,
        groups: Sequence[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """
        Args:
            factors: how often an epoch shows each image, see :func:`sample_order`.
            batch_size: images of all processes together.
            seed: of the order and of the augmentations, at least 0.
            groups: of each image; a batch holds images of one group. None = there are none.
            rank, world_size: which share of each batch to give.

        Raises:
            ValueError: if the processes cannot have equal shares.
        """
        if batch_size < 1 or batch_size % world_size:
            raise ValueError(
                f"SOLVER.IMS_PER_BATCH is {batch_size}: give a multiple of the number of "
                f"processes, {world_size}"
            )
        self.batch_size = batch_size
        self.seed = seed
        # Batches of all processes that come before the first of the next iteration over this.
        self.first_batch = 0
        self._factors = factors
        self._groups = groups
        self._share = slice(rank, None, world_size)

    def __iter__(self) -> Iterator[list[Sample]]:
        for batch in islice(self._whole_batches(), self.first_batch, None):
            yield [Sample(index, self.seed, position) for index, position in batch[self._share]]

    def _whole_batches(self) -> Iterator[list[tuple[int, int]]]:
        waiting = defaultdict(list)
        for position, index in enumerate(sample_order(self._factors, self.seed)):
            group = self._groups[index] if self._groups else 0
            waiting[group].append((index, position))
            if len(waiting[group]) == self.batch_size:
                yield waiting.pop(group)


def sample_order(factors: Tensor, seed: int) -> Iterator[int]:
    """Indices of images, epoch after epoch, each in a random order.

    Args:
        factors: (N,) how often an epoch shows each image; fractions are a probability of once more.
        seed: the order is a function of it.

    Raises:
        ValueError: if no image is ever shown.
    """
    _check_any_is_shown(factors)
    generator = torch.Generator().manual_seed(seed)
    indices = torch.arange(len(factors))
    while True:
        once_more = torch.rand(len(factors), generator=generator) < factors.frac()
        epoch = indices.repeat_interleave(factors.long() + once_more)
        yield from epoch[torch.randperm(len(epoch), generator=generator)].tolist()


def _check_any_is_shown(factors: Tensor) -> None:
    if not (factors > 0).any():
        raise ValueError("The training sampler shows no image: every repeat factor is 0")


def repeat_factors(cfg: CfgNode, data_sets: dict[str, list[dict[str, Any]]], seed: int) -> Tensor:
    """How often an epoch shows each image, by DATALOADER.SAMPLER_TRAIN.

    Args:
        cfg: whose keys of DATALOADER, DATASETS.TRAIN_REPEAT_FACTOR and
            DATASETS.TRAIN_EVENT_FACTOR are read.
        data_sets: name -> images in detectron2's standard format.
        seed: chooses the images of a random subset.

    Returns:
        (N,) float32, for the images of all data sets in their order.

    Raises:
        ValueError: if there is no such sampler, data set or event, if a factor is below 0 or all
            of them are 0, or if factors are given to a sampler that does not read them.
    """
    counts = [len(images) for images in data_sets.values()]
    name = cfg.DATALOADER.SAMPLER_TRAIN
    if name in _WEIGHTED:
        return _weighted_factors(cfg, data_sets)
    if name not in _UNWEIGHTED:
        raise ValueError(
            f"DATALOADER.SAMPLER_TRAIN is {name!r}: expected {', '.join(_UNWEIGHTED)}, "
            f"{' or '.join(_WEIGHTED)}"
        )
    _check_no_factor_is_given(cfg)
    if name == "RandomSubsetTrainingSampler":
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(sum(counts), generator=generator)
        return (order < int(sum(counts) * cfg.DATALOADER.RANDOM_SUBSET_RATIO)).float()
    if name == "RepeatFactorTrainingSampler":
        return _category_factors(cfg, [image for images in data_sets.values() for image in images])
    return torch.ones(sum(counts))


def _check_no_factor_is_given(cfg: CfgNode) -> None:
    """Factors without effect would make another training than was meant."""
    keys = [f"DATASETS.{key}" for key in _FACTOR_KEYS if cfg.DATASETS.get(key)]
    if keys:
        raise ValueError(
            f"DATALOADER.SAMPLER_TRAIN {cfg.DATALOADER.SAMPLER_TRAIN} does not read the factors of "
            f"{' and '.join(keys)}: set it to {_WEIGHTED[0]}, or give no factors"
        )


def _weighted_factors(cfg: CfgNode, data_sets: dict[str, list[dict[str, Any]]]) -> Tensor:
    given = _named_factors(cfg, "TRAIN_REPEAT_FACTOR")
    if given.keys() - data_sets.keys():
        raise ValueError(
            f"DATASETS.TRAIN_REPEAT_FACTOR names {min(given.keys() - data_sets.keys())!r}, "
            f"which DATASETS.TRAIN does not: it has {', '.join(data_sets)}"
        )
    factors = torch.tensor(
        [given.get(name, 1.0) for name, images in data_sets.items() for _ in images]
    )
    factors *= _event_factors(cfg, [image for images in data_sets.values() for image in images])
    if cfg.DATALOADER.SAMPLER_TRAIN == "WeightedTrainingSampler":
        return factors
    factors *= torch.cat([_category_factors(cfg, images) for images in data_sets.values()])
    _check_any_is_shown(factors)
    return factors / factors[factors > 0].min()


def _named_factors(cfg: CfgNode, key: str) -> dict[str, float]:
    pairs, key = cfg.DATASETS.get(key, []), f"DATASETS.{key}"
    try:
        factors = {str(name): float(factor) for name, factor in pairs}
    except (TypeError, ValueError):
        raise ValueError(
            f'{key} must be pairs of a name and a factor, such as [["a", 2.0]]; found {pairs}'
        ) from None
    for name, factor in factors.items():
        if not 0 <= factor < math.inf:
            raise ValueError(f"{key} gives {name!r} the factor {factor:g}: it must be 0 or more")
    return factors


def _event_factors(cfg: CfgNode, images: list[dict[str, Any]]) -> Tensor:
    given = _named_factors(cfg, "TRAIN_EVENT_FACTOR")
    if not given:
        return torch.ones(len(images))
    events = [event_of(str(image.get("image_id", ""))) for image in images]
    known = set(events)
    for event in given:
        if event not in known:
            raise ValueError(
                f"DATASETS.TRAIN_EVENT_FACTOR names {event!r}, of which DATASETS.TRAIN has no "
                f"image: it has {', '.join(sorted(known)[:20])}"
            )
    return torch.tensor([given.get(event, 1.0) for event in events])


def _category_factors(cfg: CfgNode, images: list[dict[str, Any]]) -> Tensor:
    return RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
        images, cfg.DATALOADER.REPEAT_THRESHOLD, sqrt=cfg.DATALOADER.REPEAT_SQRT
    )
