"""How the tests of a config are described."""

from __future__ import annotations

import pytest
from detectron2.utils.events import EventStorage

from df2s2_d2 import load_config
from df2s2_d2.config import parse_config
from df2s2_d2.shipped_configs import config_path
from df2s2_d2.test_protocols import TEST_PROTOCOLS
from df2s2_d2.training import protocol_of
from tests.small_runs import smallest_config


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [
        (600, 0, "short side 600, score > 0.01"),
        (800, 1333, "short side 800, long side at most 1333, score > 0.01"),
        (0, 0, "original size, score > 0.01"),
        # The original size is kept whatever the limit is (see build_augmentations).
        (0, 1333, "original size, score > 0.01"),
    ],
)
def test_protocol_says_how_images_are_scaled(short, long, expected):
    protocol = protocol_of(smallest_config(INPUT__MIN_SIZE_TEST=short, INPUT__MAX_SIZE_TEST=long))
    assert protocol.describe() == f"{expected}, NMS 0.4, 750 boxes"


def test_protocol_says_beyond_which_size_images_are_tiled():
    cfg = load_config("DF2S2/DF2S2_R50.yaml", ["TEST.PROTOCOL", "df2s2-single-scale"])
    protocol = protocol_of(cfg, tile_above=4096)
    # No published test has tiles, so this is none.
    assert (protocol.name, protocol.tile_above) == ("", 4096)
    assert protocol.describe().startswith(
        "short side 800, longer than 4096 pixels also in tiles, score > 0.01"
    )
    assert protocol_of(cfg).name == "df2s2-single-scale"


def test_protocol_names_the_weights_by_file_and_hash(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"abc")
    cfg = smallest_config(MODEL__WEIGHTS=str(path))
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
def test_protocol_takes_the_thresholds_of_the_model_at_hand(meta_architecture, thresholds):
    cfg = smallest_config(
        MODEL__META_ARCHITECTURE=meta_architecture,
        MODEL__RETINANET__SCORE_THRESH_TEST=0.25,
        MODEL__RETINANET__NMS_THRESH_TEST=0.35,
    )
    protocol = protocol_of(cfg)
    assert (protocol.score_threshold, protocol.nms_threshold) == thresholds


def settings(overrides: list, config: str = "DF2S2/small/faces_small.yaml"):
    return load_config(config, overrides)


@pytest.mark.parametrize(
    ("config", "augmented", "name"),
    [
        ("DF2S2/DF2S2_R50.yaml", False, "df2s2-single-scale"),
        ("DF2S2/DF2S2_R101.yaml", True, "df2s2-multi-scale"),
        ("DSFD/DSFD_R50.yaml", False, "dsfd-single-scale"),
        ("DSFD/DSFD_VGG16.yaml", True, "dsfd-multi-scale"),
        ("DF2S2/small/demo_R18.yaml", False, ""),
    ],
)
def test_the_tests_of_the_papers_are_known_by_their_keys(config, augmented, name):
    cfg = load_config(config, ["TEST.AUG.ENABLED", augmented])
    assert protocol_of(cfg).name == name


@pytest.mark.parametrize("name", TEST_PROTOCOLS)
def test_a_name_makes_any_config_the_test_of_a_paper(name, tmp_path):
    cfg = settings(["TEST.PROTOCOL", name])
    assert protocol_of(cfg).name == name
    assert protocol_of(cfg).describe().startswith(f"{name}: ")
    # In a file, and in the config that a checkpoint carries, as by an override.
    own = tmp_path / "own.yaml"
    base = config_path("DF2S2/small/faces_small.yaml")
    own.write_text(f"_BASE_: {base}\nTEST: {{PROTOCOL: {name}}}")
    assert load_config(str(own)) == cfg
    assert protocol_of(parse_config(cfg.dump(), "a checkpoint")).name == name


def test_what_goes_over_a_protocol_takes_its_name_away():
    name = ["TEST.PROTOCOL", "dsfd-multi-scale"]
    for key, value in (
        ("TEST.AUG.VOTE_IOU", 0.4),
        ("TEST.AUG.MERGE", "nms"),
        ("TEST.DETECTIONS_PER_IMAGE", 100),
        ("MODEL.FACE_DETECTOR.NMS_THRESH_TEST", 0.4),
        ("TEST.AUG.SCALES", [{"FACTOR": 1.0}]),
        ("TEST.AUG.OVER_BUDGET", "skip"),
    ):
        changed = settings([*name, key, value])
        assert protocol_of(changed).name == "", key
        assert protocol_of(settings([key, value, *name])).name == "dsfd-multi-scale"
    # Without effect in a test in several sizes, or a matter of memory.
    for key, value in (("INPUT.MIN_SIZE_TEST", 320), ("TEST.AUG.MAX_PIXELS", 10**6)):
        assert protocol_of(settings([*name, key, value])).name == "dsfd-multi-scale"


def test_unknown_protocols_are_told_the_known_ones():
    with pytest.raises(ValueError, match="'dsfd', and not one of df2s2-multi-scale, df2s2-single"):
        settings(["TEST.PROTOCOL", "dsfd"])
