"""Only the detector that the config describes is scored."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.modeling import build_model

from benchmarks.models import build_pair, random_images, retinanet_config
from df2s2_d2.inference.checkpoint_config import CONFIG_KEY, CarriedConfig
from df2s2_d2.training import Trainer, check_inputs, evaluate
from tests.small_runs import registered, smallest_config, wider_face_files

DSFD = str(Path(__file__).resolve().parents[2] / "configs/DSFD/small/demo_R18.yaml")


@pytest.fixture
def config(sample_dataset, tmp_path):
    """Function that makes a tiny config tested on the drawn data; nothing is to train on."""

    def make(config_file: str | None = None, **overrides):
        names = {"DATASETS__TRAIN": ("not_registered",), "DATASETS__TEST": ("scored_val",)}
        files = {"MODEL__BOTTOM_UP__WEIGHTS": "absent.pth", "OUTPUT_DIR": str(tmp_path / "out")}
        arguments = () if config_file is None else (config_file,)
        return smallest_config(*arguments, **{**names, **files, **overrides})

    with registered(scored_val=wider_face_files(sample_dataset, "val")):
        yield make


@pytest.fixture
def save(tmp_path):
    """Function that saves the random weights of a config as the trainer does."""

    def save(cfg, without: str = "-") -> str:
        torch.manual_seed(0)
        weights = build_model(cfg).state_dict()
        weights = {name: value for name, value in weights.items() if without not in name}
        path = str(tmp_path / "model.pth")
        torch.save({"model": weights, CONFIG_KEY: CarriedConfig(cfg).state_dict()}, path)
        return path

    return save


@pytest.mark.parametrize("without", ["-", "mask_logits"])
def test_a_trained_detector_is_scored_with_or_without_what_is_for_training(
    config, save, tmp_path, without
):
    cfg = config()
    path = save(cfg, without)
    cfg.MODEL.WEIGHTS = path
    check_inputs(cfg, for_training=False)
    results = evaluate(cfg)
    assert results.keys() == {"wider_face", "coco"}
    written = json.loads((tmp_path / "out/inference/scored_val/results.json").read_text())
    assert written["protocol"]["weights"] == "model.pth"
    assert written["protocol"]["weights_sha256"]


def test_another_meta_architecture_is_scored_as_the_trainer_saves_it(config, sample_dataset):
    files = {"MODEL__BOTTOM_UP__WEIGHTS": "", "DATASETS__TRAIN": ("scored_train",)}
    cfg = retinanet_config(config(**files))
    with registered(scored_train=wider_face_files(sample_dataset, "train")):
        check_inputs(cfg)
        trainer = Trainer(cfg)
    trainer.checkpointer.save("model_0000003")
    check_inputs(cfg, for_training=False, resume=True)
    assert evaluate(cfg, resume=True).keys() == {"wider_face", "coco"}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("none", "set MODEL.WEIGHTS to its file, or add --resume"),
        ("empty folder", "out', where --resume finds no checkpoint to score"),
        ("absent", "absent.pth', but there is no such file"),
        ("another config", "not of the detector that the config describes"),
        ("another width", "other shapes have"),
        ("a part", "it lacks backbone.neck"),
        ("no checkpoint", "is no checkpoint"),
    ],
)
def test_a_wrong_detector_is_refused_before_any_data_is_read(
    config, save, monkeypatch, tmp_path, case, words
):
    def no_data(name):
        raise AssertionError(f"{name} was read")

    monkeypatch.setattr(DatasetCatalog, "get", no_data)
    cfg = config()
    if case == "absent":
        cfg.MODEL.WEIGHTS = str(tmp_path / "absent.pth")
    elif case == "another config":
        cfg.MODEL.WEIGHTS = save(config(DSFD))
    elif case == "another width":
        cfg.MODEL.WEIGHTS = save(config(MODEL__SHOT__HEAD__CONV_DIM=32))
    elif case == "a part":
        cfg.MODEL.WEIGHTS = save(cfg, without="neck")
    elif case == "no checkpoint":
        cfg.MODEL.WEIGHTS = str(tmp_path / "text.pth")
        Path(cfg.MODEL.WEIGHTS).write_text("no checkpoint")
    for refuse in (
        lambda: check_inputs(cfg, for_training=False, resume=case == "empty folder"),
        lambda: evaluate(cfg, resume=case == "empty folder"),
    ):
        with pytest.raises((OSError, ValueError), match=words):
            refuse()
    assert not (tmp_path / "out").exists()


def test_figures_of_the_newest_checkpoint_name_it(config, save, tmp_path):
    cfg = config(MODEL__WEIGHTS="other.pth")
    folder = tmp_path / "out"
    folder.mkdir()
    checkpoint = torch.load(save(cfg), weights_only=True)
    torch.save({**checkpoint, "trainer": {"iteration": 7}}, folder / "model_0000007.pth")
    (folder / "last_checkpoint").write_text("model_0000007.pth")
    check_inputs(cfg, for_training=False, resume=True)
    evaluate(cfg, resume=True)
    written = json.loads((folder / "inference/scored_val/results.json").read_text())
    assert written["protocol"]["weights"] == "model_0000007.pth"


def test_weights_that_fit_but_were_trained_by_another_config_are_warned_of(
    config, save, caplog, monkeypatch
):
    monkeypatch.setattr(Trainer, "test", lambda cfg, model: {})
    path = save(config())
    with caplog.at_level(logging.WARNING, "df2s2_d2"):
        evaluate(config(MODEL__WEIGHTS=path, TEST__DETECTIONS_PER_IMAGE=7, SOLVER__MAX_ITER=9))
        assert not caplog.text
        evaluate(config(MODEL__WEIGHTS=path, MODEL__SHOT__ANCHORS__SCALE=2.0, INPUT__FORMAT="BGR"))
    assert "model.pth was trained by another config" in caplog.text
    assert "MODEL.SHOT.ANCHORS.SCALE 4.0 -> 2.0" in caplog.text
    assert "INPUT.FORMAT RGB -> BGR" in caplog.text


def test_benchmarks_time_no_wrong_detector_either(config, save):
    path = save(config(DSFD))
    config_file = DSFD.replace("DSFD", "DF2S2")
    with pytest.raises(ValueError, match="not of the detector that the config describes"):
        build_pair(config_file, random_images(1, (64, 64)), torch.device("cpu"), weights=path)
