"""The loader of training images, whose every batch is a function of the seed and its number."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetFromList, get_detection_dataset_dicts
from detectron2.data.build import (
    filter_images_with_only_crowd_annotations,
    trivial_batch_collator,
)
from detectron2.data.detection_utils import check_metadata_consistency
from detectron2.utils import comm
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from df2s2_d2.data.mosaic import Mosaic
from df2s2_d2.data.sampling import Sample, TrainingBatches, repeat_factors
from df2s2_d2.data.seeding import seed_random, seeded_random

logger = logging.getLogger(__name__)

# Images in a row that a mapper may pass over.
_MAX_PASSED_OVER = 100

Mapper = Callable[[dict[str, Any]], dict[str, Any] | None]


class MappedSamples(Dataset):
    """Training images as the model reads them, by their place in the endless order.

    What a mapper draws from Python's, NumPy's and torch's generators depends on the seed and the
    place alone: not on the process that runs it, nor on what was loaded before.
    """

    def __init__(
        self,
        images: Sequence[dict[str, Any]],
        mapper: Mapper,
        factors: Tensor,
        mosaic: Mosaic | None = None,
    ) -> None:
        """
        Args:
            images: in detectron2's standard format.
            mapper: makes of one what the model reads, or None: then a random other one is taken.
            factors: (N,) how often images are shown; further ones are drawn in proportion.
            mosaic: which samples are mosaics of four images, None = none.
        """
        self._images = images
        self._mapper = mapper
        shares = factors.double().cumsum(dim=0).numpy()
        self._cumulative_shares = shares / shares[-1]
        self._mosaic = mosaic

    def __getitem__(self, sample: Sample) -> dict[str, Any]:
        index, *purpose = sample
        if get_worker_info() is None:
            # In the process of the training, whose generators are not the loader's.
            with seeded_random(*purpose):
                return self._map(index)
        seed_random(*purpose)
        return self._map(index)

    def _map(self, index: int) -> dict[str, Any]:
        if self._mosaic is None or not self._mosaic.is_next():
            return self._map_usable(index, self._mapper)
        indices = [index, *(self._draw_index() for _ in range(3))]
        return self._mosaic.join([self._map_usable(i, self._mosaic.mapper) for i in indices])

    def _draw_index(self) -> int:
        return int(np.searchsorted(self._cumulative_shares, np.random.uniform(), side="right"))

    def _map_usable(self, index: int, mapper: Mapper) -> dict[str, Any]:
        for _ in range(_MAX_PASSED_OVER):
            mapped = mapper(self._images[index])
            if mapped is not None:
                return mapped
            index = self._draw_index()
        raise ValueError(f"{_MAX_PASSED_OVER} training images in a row cannot be used")


def _loader_from_config(
    cfg: CfgNode, mapper: Mapper, mosaic: Mosaic | None = None
) -> dict[str, Any]:
    """Arguments of :func:`build_train_loader` from the keys that detectron2's loader reads.

    Raises:
        ValueError: naming the key of ``cfg`` that is wrong.
    """
    names = cfg.DATASETS.TRAIN
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(
                f"DATASETS.TRAIN names {name} {count} times: name it once; its images are shown "
                "more often by DATASETS.TRAIN_REPEAT_FACTOR"
            )
    data_sets = {name: _images_of(name, cfg) for name in names}
    with contextlib.suppress(AttributeError):  # not every data set names its classes
        check_metadata_consistency("thing_classes", names)
    seed = cfg.SEED if cfg.SEED >= 0 else comm.shared_random_seed()
    return {
        "dataset": [image for data_set in data_sets.values() for image in data_set],
        "mapper": mapper,
        "mosaic": mosaic,
        "total_batch_size": cfg.SOLVER.IMS_PER_BATCH,
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
        "aspect_ratio_grouping": cfg.DATALOADER.ASPECT_RATIO_GROUPING,
        "factors": repeat_factors(cfg, data_sets, seed),
        "seed": seed,
    }


def _images_of(name: str, cfg: CfgNode) -> list[dict[str, Any]]:
    images = get_detection_dataset_dicts(name, filter_empty=False)
    if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        images = filter_images_with_only_crowd_annotations(images)
        if not images:
            raise ValueError(
                f"DATALOADER.FILTER_EMPTY_ANNOTATIONS leaves no image of {name}, which has no "
                "faces: set it to False, or leave the data set out"
            )
    return images


@configurable(from_config=_loader_from_config)
def build_train_loader(
    dataset: Sequence[dict[str, Any]],
    *,
    mapper: Mapper,
    mosaic: Mosaic | None = None,
    total_batch_size: int,
    num_workers: int = 0,
    aspect_ratio_grouping: bool = False,
    factors: Tensor | None = None,
    seed: int = -1,
) -> DataLoader:
    """Build the endless loader of this process's share of the training batches.

    To be called with these arguments, or as ``build_train_loader(cfg, mapper, mosaic)``. To go on
    with a run, change ``seed`` and ``first_batch`` of the loader's ``batch_sampler``, a
    :class:`TrainingBatches`, before the first batch is drawn.

    Args:
        dataset: images in detectron2's standard format.
        mapper, mosaic: see :class:`MappedSamples`.
        total_batch_size: images of all processes together.
        num_workers: processes that load images for this one; 0 = it loads them itself.
        aspect_ratio_grouping: whether tall and wide images come in batches of their own.
        factors: (N,) how often an epoch shows each image; None = once.
        seed: of the order and the augmentations; below 0 a random one, the same in all processes.

    Raises:
        ValueError: if the processes cannot have equal shares, or there is no image to be shown.
    """
    if factors is None:
        factors = torch.ones(len(dataset))
    batches = TrainingBatches(
        factors,
        batch_size=total_batch_size,
        seed=seed if seed >= 0 else comm.shared_random_seed(),
        groups=_orientations(dataset) if aspect_ratio_grouping else None,
        rank=comm.get_rank(),
        world_size=comm.get_world_size(),
    )
    return DataLoader(
        MappedSamples(DatasetFromList(dataset, copy=False), mapper, factors, mosaic),
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=trivial_batch_collator,
        # Else the loader's start would draw from the generator of the training.
        generator=torch.Generator(),
    )


def _orientations(images: Sequence[dict[str, Any]]) -> list[bool] | None:
    """Whether each image is wide, so that tall and wide ones come in batches of their own."""
    # By get, which opens no image: for records that would, sizes are not worth it.
    sizes = [(image.get("width"), image.get("height")) for image in images]
    if all(width and height for width, height in sizes):
        return [width > height for width, height in sizes]
    logger.info(
        "DATALOADER.ASPECT_RATIO_GROUPING is passed over: the annotations do not tell the sizes of "
        "the images"
    )
    return None
