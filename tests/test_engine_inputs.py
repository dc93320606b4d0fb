"""What the engine checks, and says, about a config before a run starts."""

from __future__ import annotations

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.events import EventStorage

from df2s2_d2.engine import Trainer, check_inputs, check_weights, protocol_of
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


def test_weights_are_checked_without_data(config, tmp_path):
    cfg = config(DATASETS__TRAIN=("no_such_faces",), MODEL__WEIGHTS=str(tmp_path / "absent.pth"))
    with pytest.raises(FileNotFoundError, match="MODEL.WEIGHTS"):
        check_weights(cfg)


def test_evaluator_is_refused_for_data_of_another_kind(config):
    DatasetCatalog.register("checked_other", list)
    MetadataCatalog.get("checked_other").set(evaluator_type="coco")
    try:
        with pytest.raises(ValueError, match="'checked_other'.*'coco'"):
            Trainer.build_evaluator(config(), "checked_other")
    finally:
        DatasetCatalog.remove("checked_other")
        MetadataCatalog.remove("checked_other")


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [
        (800, 0, "short side 800, score > 0.01"),
        (800, 1333, "short side 800, long side at most 1333, score > 0.01"),
        (0, 0, "original size, score > 0.01"),
        # The original size is kept whatever the limit is (see build_augmentations).
        (0, 1333, "original size, score > 0.01"),
    ],
)
def test_protocol_says_how_images_are_scaled(config, short, long, expected):
    protocol = protocol_of(config(INPUT__MIN_SIZE_TEST=short, INPUT__MAX_SIZE_TEST=long))
    assert protocol.describe() == f"{expected}, NMS 0.4, 750 boxes"


def test_protocol_names_the_weights_by_file_and_hash(config, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"abc")
    cfg = config(MODEL__WEIGHTS=str(path))
    protocol = protocol_of(cfg)
    # SHA-256 of "abc", as its standard gives it.
    assert (protocol.weights, protocol.weights_sha256) == ("weights.pth", "ba7816bf8f01")
    assert protocol.describe().endswith("weights weights.pth (sha256 ba7816bf8f01)")
    with EventStorage(start_iter=39):
        # In training, the file is only where the run began.
        inside = protocol_of(cfg)
    assert (inside.weights, inside.weights_sha256) == ("iteration 39", "")


@pytest.mark.parametrize(
    ("meta_architecture", "thresholds"),
    [("FaceDetector", (0.01, 0.4)), ("RetinaNet", (0.25, 0.35)), ("SomethingElse", (None, None))],
)
def test_protocol_takes_the_thresholds_of_the_model_at_hand(config, meta_architecture, thresholds):
    cfg = config(
        MODEL__META_ARCHITECTURE=meta_architecture,
        MODEL__RETINANET__SCORE_THRESH_TEST=0.25,
        MODEL__RETINANET__NMS_THRESH_TEST=0.35,
    )
    protocol = protocol_of(cfg)
    assert (protocol.score_threshold, protocol.nms_threshold) == thresholds
