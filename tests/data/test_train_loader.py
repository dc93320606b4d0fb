"""The loader of training images: what it gives depends on the seed and the batch alone."""

from __future__ import annotations

import logging
import random
from itertools import islice

import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog

from df2s2_d2.data import build_train_loader
from df2s2_d2.data.datasets.dataset_dicts import ImageRecord
from df2s2_d2.data.seeding import seed_random, seeded_random

SIZES = [(20, 10), (10, 20), (30, 10), (10, 30), (40, 10)]


@pytest.fixture
def cfg():
    name = "loader_images"
    records = [
        {"file_name": str(i), "width": w, "height": h, "annotations": [{"iscrowd": 0}]}
        for i, (w, h) in enumerate(SIZES)
    ]
    DatasetCatalog.register(name, lambda: records)
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = (name,)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.SEED = 5
    yield cfg
    DatasetCatalog.remove(name)
    if name in MetadataCatalog.list():
        MetadataCatalog.remove(name)


def draw(image: dict) -> tuple:
    """Stands for a mapper: the image's name and a number of each generator."""
    return image["file_name"], random.random(), np.random.uniform(), torch.rand(1).item()


def batches(cfg, count, first=0, mapper=draw):
    loader = build_train_loader(cfg, mapper)
    loader.batch_sampler.first_batch = first
    return list(islice(loader, count))


def test_images_and_draws_depend_on_neither_workers_nor_the_start(cfg):
    whole = batches(cfg, 6)
    drawn = [number for batch in whole for _, *numbers in batch for number in numbers]
    assert len(set(drawn)) == len(drawn) == 36
    cfg.DATALOADER.NUM_WORKERS = 2
    assert batches(cfg, 4, first=2) == whole[2:]
    cfg.DATALOADER.NUM_WORKERS = 0
    assert batches(cfg, 1, first=5) == whole[5:]
    cfg.SEED = 6
    assert batches(cfg, 6) != whole


def test_the_generators_of_the_training_are_left_alone(cfg):
    def numbers(loads: bool):
        seed_random(1, 2)
        loader = build_train_loader(cfg, draw)
        if loads:
            next(iter(loader))
        return random.random(), np.random.uniform(), torch.rand(1).item()

    assert numbers(True) == numbers(False)


def test_seeds_of_other_purposes_are_others():
    drawn = set()
    for purpose in [(0, 1), (1, 0), (1,), (0, 1, 0)]:
        with seeded_random(*purpose):
            drawn |= {random.random(), np.random.uniform(), torch.rand(1).item()}
    assert len(drawn) == 12


def test_images_are_grouped_by_shape_where_sizes_are_known(cfg, caplog):
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = True
    wide = {str(i) for i, (w, h) in enumerate(SIZES) if w > h}
    for batch in batches(cfg, 20):
        assert len({name in wide for name, *_ in batch}) == 1
    # A record that would open its image for the size, and there is none.
    records = DatasetCatalog.get(cfg.DATASETS.TRAIN[0])
    records[0] = ImageRecord(records[0])
    del records[0]["width"]
    with caplog.at_level(logging.INFO):
        shapes = [{name in wide for name, *_ in batch} for batch in batches(cfg, 20)]
    assert {True, False} in shapes
    assert "ASPECT_RATIO_GROUPING is passed over" in caplog.text


def test_an_image_that_is_passed_over_is_replaced_by_the_same_one_each_time(cfg):
    def choosy(image: dict):
        return None if image["file_name"] in "01" else draw(image)

    whole = batches(cfg, 6, mapper=choosy)
    assert {name for batch in whole for name, *_ in batch} == {"2", "3", "4"}
    assert batches(cfg, 2, first=4, mapper=choosy) == whole[4:]
    with pytest.raises(ValueError, match="in a row cannot be used"):
        batches(cfg, 1, mapper=lambda image: None)


def test_an_unseeded_loader_draws_a_seed(cfg):
    cfg.SEED = -1
    seeds = {build_train_loader(cfg, draw).batch_sampler.seed for _ in range(3)}
    assert len(seeds) == 3 and min(seeds) >= 0


def test_a_data_set_that_is_named_twice_is_refused(cfg):
    cfg.DATASETS.TRAIN = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TRAIN)
    with pytest.raises(ValueError, match="names loader_images 2 times: .*TRAIN_REPEAT_FACTOR"):
        build_train_loader(cfg, draw)


def test_a_data_set_of_which_nothing_would_be_left_is_refused(cfg):
    name = "loader_backgrounds"
    DatasetCatalog.register(name, lambda: [{"file_name": "b", "annotations": []}])
    cfg.DATASETS.TRAIN = (*cfg.DATASETS.TRAIN, name)
    try:
        with pytest.raises(ValueError, match="_EMPTY_ANNOTATIONS leaves no image of loader_b"):
            build_train_loader(cfg, draw)
        cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
        names = {image[0] for batch in batches(cfg, 30) for image in batch}
        assert names == {"0", "1", "2", "3", "4", "b"}
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
