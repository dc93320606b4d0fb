"""The endless order of training images and the batches cut from it."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch

from df2s2_d2.config import load_config
from df2s2_d2.data.sampling import TrainingBatches, repeat_factors, sample_order


def take(batches, count, first=0):
    batches.first_batch = first
    return list(islice(batches, count))


def test_every_epoch_shows_every_image_once_in_another_order():
    order = list(islice(sample_order(torch.ones(7), seed=3), 21))
    epochs = [order[start : start + 7] for start in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert list(islice(sample_order(torch.ones(7), seed=4), 7)) != epochs[0]


def test_images_come_as_often_as_their_factors_say():
    factors = torch.tensor([0.0, 1.0, 2.0, 0.5])
    epochs = 400
    shown = Counter(islice(sample_order(factors, seed=1), int(3.4 * epochs)))
    assert shown[0] == 0
    assert shown[2] == pytest.approx(2 * shown[1], rel=0.01)
    assert shown[3] == pytest.approx(0.5 * shown[1], rel=0.15)


def test_an_order_that_shows_nothing_is_refused():
    with pytest.raises(ValueError, match="shows no image"):
        next(sample_order(torch.zeros(3), seed=0))


def test_processes_share_each_batch_and_their_number_changes_nothing():
    factors = torch.tensor([1.0, 2.5, 1.0, 1.0, 0.5])
    alone = take(TrainingBatches(factors, batch_size=4, seed=9), 6)
    for world_size in (2, 4):
        shares = [
            take(
                TrainingBatches(factors, batch_size=4, seed=9, rank=rank, world_size=world_size), 6
            )
            for rank in range(world_size)
        ]
        assert all(len(batch) == 4 // world_size for share in shares for batch in share)
        joint = [
            sorted(sum(parts, []), key=lambda s: s.position) for parts in zip(*shares, strict=True)
        ]
        assert joint == alone


@pytest.mark.parametrize("groups", [None, [0, 1, 0, 0, 1]])
def test_batches_go_on_from_any_of_them(groups):
    batches = TrainingBatches(torch.ones(5), batch_size=3, seed=2, groups=groups)
    whole = take(batches, 10)
    for first in (1, 4, 9):
        assert take(batches, 10 - first, first) == whole[first:]


def test_a_batch_has_images_of_one_group_and_none_is_left_out():
    groups = [index % 2 for index in range(10)]
    batches = take(TrainingBatches(torch.ones(10), batch_size=2, seed=5, groups=groups), 50)
    assert all(len({groups[sample.index] for sample in batch}) == 1 for batch in batches)
    shown = Counter(sample.index for batch in batches for sample in batch)
    assert set(shown) == set(range(10)) and max(shown.values()) - min(shown.values()) <= 1
    positions = [sample.position for batch in batches for sample in batch]
    assert len(set(positions)) == 100


def test_unequal_shares_are_refused():
    with pytest.raises(ValueError, match="SOLVER.IMS_PER_BATCH is 3: give a multiple .*, 2"):
        TrainingBatches(torch.ones(4), batch_size=3, seed=0, world_size=2)


def images(*categories):
    return [{"annotations": [{"category_id": c} for c in kinds]} for kinds in categories]


@pytest.fixture
def cfg():
    cfg = load_config()
    cfg.DATALOADER.REPEAT_THRESHOLD = 0.5
    return cfg


# Category 1 is in a quarter of the images of a: a factor of sqrt(0.5 / 0.25).
DATA_SETS = {"a": images([0], [0], [0], [0, 1]), "b": images([0], [0])}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TrainingSampler", [1, 1, 1, 1, 1, 1]),
        ("WeightedTrainingSampler", [1, 1, 1, 1, 3, 3]),
        ("WeightedCategoryTrainingSampler", [1, 1, 1, 2**0.5, 3, 3]),
        # Of both sets together, category 1 is in a sixth.
        ("RepeatFactorTrainingSampler", [1, 1, 1, 3**0.5, 1, 1]),
    ],
)
def test_samplers_of_detectron2_are_factors(cfg, name, expected):
    cfg.DATALOADER.SAMPLER_TRAIN = name
    if name.startswith("Weighted"):
        cfg.DATASETS.TRAIN_REPEAT_FACTOR = [("b", 3.0)]
    assert repeat_factors(cfg, DATA_SETS, seed=0).tolist() == pytest.approx(expected)


def test_images_that_are_never_shown_leave_the_others_theirs(cfg):
    cfg.DATALOADER.SAMPLER_TRAIN = "WeightedCategoryTrainingSampler"
    cfg.DATASETS.TRAIN_REPEAT_FACTOR = [("b", 0.0)]
    expected = [1, 1, 1, 2**0.5, 0, 0]
    assert repeat_factors(cfg, DATA_SETS, seed=0).tolist() == pytest.approx(expected)
    cfg.DATASETS.TRAIN_REPEAT_FACTOR = [("a", 0.0), ("b", 0.0)]
    with pytest.raises(ValueError, match="shows no image: every repeat factor is 0"):
        repeat_factors(cfg, DATA_SETS, seed=0)


@pytest.mark.parametrize(
    "name", ["TrainingSampler", "RandomSubsetTrainingSampler", "RepeatFactorTrainingSampler"]
)
@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (["TRAIN_REPEAT_FACTOR"], "DATASETS.TRAIN_REPEAT_FACTOR:"),
        (["TRAIN_EVENT_FACTOR"], "DATASETS.TRAIN_EVENT_FACTOR:"),
        (
            ["TRAIN_EVENT_FACTOR", "TRAIN_REPEAT_FACTOR"],
            "DATASETS.TRAIN_REPEAT_FACTOR and DATASETS.TRAIN_EVENT_FACTOR:",
        ),
    ],
)
def test_factors_that_a_sampler_does_not_read_are_refused(cfg, name, keys, named):
    cfg.DATALOADER.SAMPLER_TRAIN = name
    for key in keys:
        cfg.DATASETS[key] = [["b", 3.0]]
    message = f"SAMPLER_TRAIN {name} does not read the factors of {named} set it to WeightedTrain"
    with pytest.raises(ValueError, match=message):
        repeat_factors(cfg, DATA_SETS, seed=0)


def test_factors_of_data_sets_can_be_given_as_overrides():
    factors = ["DATASETS.TRAIN_REPEAT_FACTOR", "[['b', 3.0]]"]
    cfg = load_config("", ["DATALOADER.SAMPLER_TRAIN", "WeightedTrainingSampler", *factors])
    assert repeat_factors(cfg, DATA_SETS, seed=0).tolist() == [1, 1, 1, 1, 3, 3]
    plain = load_config("", ["DATALOADER.SAMPLER_TRAIN", "WeightedTrainingSampler"])
    assert repeat_factors(plain, DATA_SETS, seed=0).tolist() == [1] * 6


def test_a_random_subset_is_a_function_of_the_seed(cfg):
    cfg.DATALOADER.SAMPLER_TRAIN = "RandomSubsetTrainingSampler"
    cfg.DATALOADER.RANDOM_SUBSET_RATIO = 0.5
    subsets = [tuple(repeat_factors(cfg, DATA_SETS, seed).tolist()) for seed in range(8)]
    assert all(sorted(subset) == [0, 0, 0, 1, 1, 1] for subset in subsets)
    assert len(set(subsets)) > 1
    assert tuple(repeat_factors(cfg, DATA_SETS, 0).tolist()) == subsets[0]


def test_images_of_an_event_are_shown_as_often_as_asked():
    cfg = load_config()
    data_sets = {
        "a": [{"image_id": "0--Parade/x"}, {"image_id": "1--Riot/x"}],
        "b": [{"image_id": "1--Riot/y"}, {"image_id": 7}],
    }
    cfg.DATALOADER.SAMPLER_TRAIN = "WeightedTrainingSampler"
    assert repeat_factors(cfg, data_sets, seed=0).tolist() == [1, 1, 1, 1]
    cfg.DATASETS.TRAIN_EVENT_FACTOR = [["1--Riot", 0.5]]
    assert repeat_factors(cfg, data_sets, seed=0).tolist() == [1, 0.5, 0.5, 1]
    cfg.DATASETS.TRAIN_REPEAT_FACTOR = [["b", 3]]
    assert repeat_factors(cfg, data_sets, seed=0).tolist() == [1, 0.5, 1.5, 3]
    for pairs, message in (
        (
            [["2--Demo", 1.0]],
            r"names '2--Demo'.* it has \(no folder\), 0--Parade, 1--Riot$",
        ),
        ([["1--Riot", -1]], "TRAIN_EVENT_FACTOR gives '1--Riot' the factor -1"),
        (["1--Riot"], "TRAIN_EVENT_FACTOR must be pairs"),
    ):
        cfg.DATASETS.TRAIN_EVENT_FACTOR = pairs
        with pytest.raises(ValueError, match=message):
            repeat_factors(cfg, data_sets, seed=0)


def test_wrong_names_are_told(cfg):
    cfg.DATALOADER.SAMPLER_TRAIN = "TrainSampler"
    with pytest.raises(ValueError, match="SAMPLER_TRAIN is 'TrainSampler': expected Training"):
        repeat_factors(cfg, DATA_SETS, seed=0)
    cfg.DATALOADER.SAMPLER_TRAIN = "WeightedTrainingSampler"
    cfg.DATASETS.TRAIN_REPEAT_FACTOR = [("c", 2.0)]
    with pytest.raises(ValueError, match="TRAIN_REPEAT_FACTOR names 'c'"):
        repeat_factors(cfg, DATA_SETS, seed=0)
