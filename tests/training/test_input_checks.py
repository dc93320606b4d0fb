"""What is checked before a run starts."""

from __future__ import annotations

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog

from df2s2_d2.training import Trainer, check_inputs
from df2s2_d2.training.model_checks import build_untrained
from tests.small_runs import registered, smallest_config, wider_face_files


@pytest.fixture
def config(sample_dataset):
    """Function that makes a tiny config on the drawn data."""

    def make(**overrides):
        names = {"DATASETS__TRAIN": ("checked_train",), "DATASETS__TEST": ("checked_val",)}
        return smallest_config(**{**names, **overrides})

    splits = ("train", "val")
    with registered(
        **{f"checked_{name}": wider_face_files(sample_dataset, name) for name in splits}
    ):
        yield make


def test_good_inputs_pass(config, tmp_path):
    path = tmp_path / "weights.pth"
    path.touch()
    check_inputs(config(MODEL__BOTTOM_UP__WEIGHTS=str(path)))


def test_unknown_data_set_is_named(config):
    with pytest.raises(ValueError, match="'no_such_faces'.*register_wider_face"):
        check_inputs(config(DATASETS__TEST=("no_such_faces",)))


def test_missing_folder_is_named(config, tmp_path):
    files = wider_face_files(tmp_path / "nowhere", "train")
    with (
        registered(checked_missing=files),
        pytest.raises(FileNotFoundError, match="nowhere/wider_face/WIDER_train/images"),
    ):
        check_inputs(config(DATASETS__TRAIN=("checked_missing",)))


@pytest.mark.parametrize("key", ["MODEL.WEIGHTS", "MODEL.BOTTOM_UP.WEIGHTS"])
@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("absent.pth", FileNotFoundError, "no such file"),
        ("weights.pkl", ValueError, "can run code"),
    ],
)
def test_wrong_weights_are_named_with_their_key(config, tmp_path, key, name, kind, words):
    path = tmp_path / name
    if name.endswith(".pkl"):
        path.write_bytes(b"\x80\x04.")
    with pytest.raises(kind, match=words) as caught:
        check_inputs(config(**{key.replace(".", "__"): str(path)}))
    assert key in str(caught.value) and str(path) in str(caught.value)


def test_a_training_that_goes_on_needs_no_weights_to_start_from(config, tmp_path):
    absent = str(tmp_path / "absent.pth")
    cfg = config(MODEL__BOTTOM_UP__WEIGHTS=absent, MODEL__WEIGHTS=absent, OUTPUT_DIR=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="MODEL.WEIGHTS"):
        check_inputs(cfg, resume=True)
    state = {"iteration": 2, "_trainer": {"optimizer": {"param_groups": [{"momentum": 0.9}]}}}
    checkpoint = {"model": build_untrained(cfg).state_dict(), "trainer": state}
    torch.save(checkpoint, tmp_path / "model_0000002.pth")
    (tmp_path / "last_checkpoint").write_text("model_0000002.pth")
    check_inputs(cfg, resume=True)
    with pytest.raises(FileNotFoundError, match="MODEL.WEIGHTS"):
        check_inputs(cfg)


def test_weights_are_checked_without_data(config, tmp_path):
    cfg = config(DATASETS__TRAIN=("no_such_faces",), MODEL__WEIGHTS=str(tmp_path / "absent.pth"))
    with pytest.raises(FileNotFoundError, match="MODEL.WEIGHTS"):
        check_inputs(cfg)


def test_evaluator_is_refused_for_data_of_another_kind(config):
    DatasetCatalog.register("checked_other", list)
    MetadataCatalog.get("checked_other").set(evaluator_type="lvis")
    try:
        with pytest.raises(ValueError, match="'checked_other'.*'lvis'"):
            Trainer.build_evaluator(config(), "checked_other")
    finally:
        DatasetCatalog.remove("checked_other")
        MetadataCatalog.remove("checked_other")
