from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
import yaml
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode

from df2s2_d2 import load_config
from df2s2_d2.config import parse_config
from df2s2_d2.inference.checkpoint_config import CarriedConfig, config_of
from df2s2_d2.training import Trainer
from tests.small_runs import registered, smallest_config, wider_face_files

CONFIG_FOLDER = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = sorted(CONFIG_FOLDER.rglob("*.yaml"))


def values(cfg: CfgNode) -> dict:
    """Without the kind of sequences, and without how often YAML refers to one."""
    return yaml.safe_load(cfg.dump())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(CONFIG_FOLDER)))
def test_every_config_is_the_same_after_writing_and_reading(path):
    cfg = load_config(str(path))
    text = CarriedConfig(cfg).state_dict()
    assert values(parse_config(text, "The test")) == values(cfg)


def test_config_of_a_checkpoint_names_it_as_its_weights(checkpoint_config, checkpoint):
    expected = checkpoint_config.clone()
    expected.MODEL.WEIGHTS = checkpoint
    assert values(config_of(checkpoint)) == values(expected)


def save(path: Path, **contents) -> str:
    torch.save({"model": {}, **contents}, path)
    return str(path)


def test_checkpoint_without_a_config_says_what_to_do(tmp_path):
    for contents in ({}, {"config": {"MODEL": 1}}):
        path = save(tmp_path / "bare.pth", **contents)
        with pytest.raises(ValueError) as caught:
            config_of(path)
        assert f"{path} carries no config" in str(caught.value)
        assert f'Predictor("CONFIG.yaml", overrides=["MODEL.WEIGHTS", "{path}"])' in str(
            caught.value
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MODEL: {NO_SUCH_KEY: 1}", "MODEL.NO_SUCH_KEY"),
        ("MODEL: {WEIGHTS: !!python/object/apply:os.getcwd []}", "could not determine"),
        ("MODEL: 3", "MODEL"),
        ("just words", "not a mapping"),
        ("a: [", "parsing"),
    ],
)
def test_wrong_config_is_one_error_that_names_the_checkpoint(tmp_path, text, words):
    path = save(tmp_path / "wrong.pth", config=text)
    with pytest.raises(ValueError, match=words) as caught:
        config_of(path)
    message = str(caught.value)
    assert message.startswith(f"The config in {path}: ") and "\n" not in message


def test_missing_files_and_pickles_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="The checkpoint is '.*absent.pth'"):
        config_of(str(tmp_path / "absent.pth"))
    with pytest.raises(ValueError, match="can run code"):
        config_of(str(tmp_path / "weights.pkl"))


def test_trainer_saves_its_config_and_resumes_with_and_without_one(
    sample_dataset, tmp_path, caplog
):
    cfg = smallest_config(
        DATASETS__TRAIN=("carried_train",),
        DATASETS__TEST=(),
        SOLVER__MAX_ITER=1,
        OUTPUT_DIR=str(tmp_path),
    )
    final = tmp_path / "model_final.pth"
    with registered(carried_train=wider_face_files(sample_dataset, "train")):
        trainer = Trainer(cfg)
        trainer.train()
        carried = config_of(str(final))
        assert carried.MODEL.WEIGHTS == str(final)
        carried.MODEL.WEIGHTS = cfg.MODEL.WEIGHTS
        assert values(carried) == values(cfg)

        with caplog.at_level(logging.WARNING):
            rest = DetectionCheckpointer(trainer.model).load(str(final))
            assert rest["config"] == cfg.dump()
            cfg.SOLVER.MAX_ITER = 3
            resumed = Trainer(cfg)
            resumed.resume_or_load(resume=True)
            assert resumed.start_iter == 1 and resumed.cfg.SOLVER.MAX_ITER == 3
            contents = torch.load(final, weights_only=True)
            del contents["config"]
            torch.save(contents, final)
            resumed = Trainer(cfg)
            resumed.resume_or_load(resume=True)
            assert resumed.start_iter == 1
        assert [
            record.getMessage() for record in caplog.records if "heckpoint" in record.name
        ] == []
