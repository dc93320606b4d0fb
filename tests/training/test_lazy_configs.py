"""Every LazyConfig is its YAML, said in Python: equal to the last number."""

from __future__ import annotations

import pytest
import torch
from detectron2.config import instantiate
from detectron2.engine import DefaultTrainer
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler
from torch import nn

from df2s2_d2 import load_config
from df2s2_d2.data import FaceDatasetMapper, build_mosaic
from df2s2_d2.lazy_config import list_lazy_configs, load_lazy_config
from df2s2_d2.modeling.multi_scale import BoundedDetector
from df2s2_d2.test_protocols import TEST_PROTOCOLS, published_config
from df2s2_d2.training import Trainer, protocol_of
from df2s2_d2.training.lazy_parts import LazyParts
from df2s2_d2.training.lazy_parts import protocol_of as lazy_protocol_of
from df2s2_d2.training.lazy_settings import PLACES, run_settings
from tests.small_runs import smallest_config
from tests.training.lazy_runs import plain_attributes

PAIRS = {
    "lazy/DF2S2_R50.py": "DF2S2/DF2S2_R50.yaml",
    "lazy/DSFD_R50.py": "DSFD/DSFD_R50.yaml",
    "lazy/DSFD_VGG16.py": "DSFD/DSFD_VGG16.yaml",
    "lazy/faces_small.py": "DF2S2/small/faces_small.yaml",
}


def test_every_lazy_config_has_its_yaml_and_names_it():
    sentences = list_lazy_configs()
    assert list(sentences) == list(PAIRS)
    assert all(PAIRS[name] in sentence for name, sentence in sentences.items())


@pytest.fixture(scope="module", params=PAIRS)
def pair(request):
    """A LazyConfig and its YAML, both for the CPU, and the models of both."""
    if "small" in request.param:
        pytest.importorskip("timm")
    lazy = load_lazy_config(request.param)
    cfg = load_config(PAIRS[request.param])
    on_cpu = cfg.clone()
    on_cpu.MODEL.DEVICE = "cpu"
    model = without_values(LazyParts(lazy).model("cpu"))
    return lazy, cfg, model, without_values(build_model(on_cpu))


def without_values(model: nn.Module) -> nn.Module:
    """The model, whose parameters, at random anyway, no longer take memory."""
    for parameter in model.parameters():
        parameter.data = parameter.new_zeros(()).expand(parameter.shape)
    return model


def test_models_are_equal(pair):
    _, _, model, expected = pair
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in expected.state_dict().items()
    }
    trained = [
        {name for name, p in each.named_parameters() if p.requires_grad}
        for each in (model, expected)
    ]
    assert trained[0] == trained[1]
    # Anchors, thresholds, matching, weights of losses, and options of every layer.
    found, wanted = plain_attributes(model), plain_attributes(expected)
    assert len(wanted) > 100 and wanted["head.anchor_generator.sizes"]
    assert found == wanted


def test_optimizers_and_rates_are_equal(pair):
    lazy, cfg, model, expected_model = pair
    optimizer = LazyParts(lazy).optimizer(model)
    expected = Trainer.build_optimizer(cfg, expected_model)
    assert type(optimizer) is type(expected)

    def groups(optimizer: torch.optim.Optimizer) -> list[dict]:
        return [
            plain_attributes({key: value for key, value in group.items() if key != "params"})
            for group in optimizer.param_groups
        ]

    assert groups(optimizer) == groups(expected)
    assert len(groups(optimizer)[0]["param_names"]) > 10
    length = cfg.SOLVER.MAX_ITER
    assert lazy.train.max_iter == length
    factor = LazyParts(lazy).schedule()
    reference = build_lr_scheduler(cfg, expected)._multiplier
    iterations = [*range(0, 1200, 37), *range(1200, length, 499), *cfg.SOLVER.STEPS, length - 1]
    for iteration in iterations:
        assert factor(iteration / length) == pytest.approx(reference(iteration / length), rel=1e-12)


def test_settings_of_the_run_are_equal(pair):
    lazy, cfg, *_ = pair
    # The batch of a LazyConfig is that of any number of processes: of those that YAML is meant for.
    cfg = DefaultTrainer.auto_scale_workers(cfg, cfg.SOLVER.REFERENCE_WORLD_SIZE or 1)
    settings = run_settings(lazy)

    def value(config, key: str):
        for part in key.split("."):
            config = config[part]
        return config

    assert {key: value(settings, key) for key in PLACES} == {key: value(cfg, key) for key in PLACES}
    assert lazy.dataloader.train.num_workers == cfg.DATALOADER.NUM_WORKERS
    assert lazy.dataloader.test.num_workers == cfg.DATALOADER.NUM_WORKERS
    for split in ("train", "test"):
        keeps_all = not lazy.dataloader[split].dataset.filter_empty
        assert keeps_all == (split == "test" or not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)


@pytest.mark.parametrize("is_train", [True, False])
def test_images_are_mapped_alike(pair, is_train):
    lazy, cfg, *_ = pair
    found = plain_attributes(instantiate(lazy.dataloader["train" if is_train else "test"].mapper))
    wanted = plain_attributes(FaceDatasetMapper(cfg, is_train))
    if not is_train:  # has no effect where no face is read
        for name in ("min_face_size", "min_original_face_size", "small_faces"):
            found[1].pop(name), wanted[1].pop(name)
    assert "FaceDatasetMapper" in found and found == wanted


def test_mosaics_are_alike(pair):
    lazy, cfg, *_ = pair
    found = plain_attributes(instantiate(lazy.dataloader.train.get("mosaic")))
    assert found == plain_attributes(build_mosaic(cfg))
    assert (found is None) == (cfg.INPUT.MOSAIC.PROBABILITY == 0)


def test_quarters_of_mosaics_follow_the_mapper():
    pytest.importorskip("timm")
    overrides = [
        "dataloader.train.mapper.small_faces=drop",
        "dataloader.train.mapper.augmentations.0.output_size=64",
        "dataloader.train.mapper.augmentations.1.shape=64",
    ]
    lazy = load_lazy_config("lazy/faces_small.py", overrides)
    quarter = instantiate(lazy.dataloader.train.mosaic).mapper
    window, resize, *_ = quarter.augmentations.augs
    assert quarter.small_faces == "drop"
    assert (window.output_size, resize.shape) == (32, (32, 32))
    assert window.face_sizes == (7.0, pytest.approx(0.86 * 32))


def test_tests_look_at_images_alike(pair):
    lazy, cfg, model, expected_model = pair
    found, wanted = LazyParts(lazy).test_detector(model), BoundedDetector(cfg, expected_model)
    assert found.choice == wanted.choice
    assert found.is_augmented == wanted.is_augmented
    # What a LazyConfig leaves out is as the detector has it.
    defaults = BoundedDetector(load_config(), expected_model).options
    assert {**defaults, **found.options} == wanted.options
    assert lazy_protocol_of(found, "") == protocol_of(cfg)


@pytest.mark.parametrize("name", TEST_PROTOCOLS)
def test_published_tests_have_their_names(name):
    """Those of one detector differ in sizes alone, so that each is told from all others."""
    cfg = published_config(name)
    cfg.MODEL.BOTTOM_UP.WEIGHTS = ""
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(smallest_config(**_thresholds_of(cfg)))
    detector = BoundedDetector(cfg, model)
    assert lazy_protocol_of(detector, "").name == name
    model.nms_threshold = 0.35
    assert lazy_protocol_of(detector, "").name == ""


def _thresholds_of(cfg) -> dict:
    names = ("SCORE_THRESH_TEST", "TOPK_CANDIDATES_TEST", "NMS_THRESH_TEST", "ROUND_OUTWARD")
    keys = {f"MODEL__FACE_DETECTOR__{name}": cfg.MODEL.FACE_DETECTOR[name] for name in names}
    return {**keys, "TEST__DETECTIONS_PER_IMAGE": cfg.TEST.DETECTIONS_PER_IMAGE}
